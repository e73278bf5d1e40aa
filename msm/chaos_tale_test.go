package msm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// branches is how many requests of one user run at the same time at most. Each
// writes an attribute of its own: what its value must be can then be told from
// the order of its writes.
const branches = 4

// Attributes of a session in a chaos run, beside own(0) to own(branches-1).
const (
	ownerAttr = "owner"   // the name of the tale
	countAttr = "counter" // raised by Update
)

// intruder is what somebody writes into ownerAttr who comes with the cookie of a
// session that has ended.
const intruder = "intruder"

// own is the attribute that only one branch writes.
func own(branch int) string { return "own" + strconv.Itoa(branch) }

// tale is what one user knows of one session, from login to logout. Its user's
// mu guards it.
type tale struct {
	name     string
	register [branches]register
	counter  register
	right    time.Time // when the counter was right
	log      []incident

	held   nodeSet // the newest acknowledged change
	heldAs string  // the base of its id
	sign   nonce   // by which a copy is known that has it
	stamp  stamp   // of its version
}

// newest is when the newest acknowledged change was begun.
func (t *tale) newest() (begun time.Time) {
	for _, r := range append(t.register[:], t.counter) {
		for _, w := range r {
			if !w.acked.IsZero() && w.begun.After(begun) {
				begun = w.begun
			}
		}
	}
	return begun
}

// register is all that was ever done to an attribute, in that order.
type register []*deed

// deed is one change of an attribute.
type deed struct {
	gone  bool // Delete
	vague bool // it may do nothing
	begun time.Time
	acked time.Time // zero: what became of it is not known
	where *app      // that acknowledged it
}

// view is from where and when a request looks at a session.
type view struct {
	at      time.Time
	app     *app
	current bool          // it is shown everything that was acknowledged before
	stale   time.Duration // how old what it is shown may be otherwise
}

// sees tells whether what was acknowledged then and there must be visible.
func (v view) sees(acked time.Time, where *app) bool {
	return !acked.IsZero() && (v.current || where == v.app || v.at.Sub(acked) > v.stale)
}

// last is the number of the newest write that must be visible; 0: none.
func (r register) last(v view) int {
	for i := len(r); i > 0; i-- {
		if w := r[i-1]; v.sees(w.acked, w.where) {
			return i
		}
	}
	return 0
}

// sum is how many writes must be visible.
func (r register) sum(v view) int {
	n := 0
	for _, w := range r {
		if v.sees(w.acked, w.where) {
			n++
		}
	}
	return n
}

// floors is what a request must be shown at least.
type floors struct {
	own     [branches]int // the number of the newest write
	counter int
}

func (t *tale) floors(v view) floors {
	f := floors{counter: t.counter.sum(v)}
	for i := range t.register {
		f.own[i] = t.register[i].last(v)
	}
	return f
}

// value is what the n-th write of a branch's attribute stores.
func (t *tale) value(branch, n int) string { return fmt.Sprintf("%s/%s/%d", t.name, own(branch), n) }

// mayBe tells what is wrong with the value of a branch's attribute, when the
// floor-th write must be visible, and since when that is of interest.
func (t *tale) mayBe(branch int, value string, ok bool, floor int) (wrong string, since time.Time) {
	r := t.register[branch]
	if !ok {
		if floor == 0 || slices.ContainsFunc(r[floor-1:], func(w *deed) bool { return w.gone }) {
			return "", since
		}
		return fmt.Sprintf("%s is absent, want write %d to %d", own(branch), floor, len(r)), r[floor-1].begun
	}
	number, mine := strings.CutPrefix(value, t.name+"/"+own(branch)+"/")
	n, err := strconv.Atoi(number)
	switch {
	case !mine || err != nil || n < 1 || n > len(r) || r[n-1].gone:
		return fmt.Sprintf("%s is %q, which nobody wrote into it in %s", own(branch), value, t.name), since
	case n < floor:
		return fmt.Sprintf("%s is that of write %d, want %d to %d", own(branch), n, floor, len(r)), r[n-1].begun
	}
	return "", since
}

// mayCount tells what is wrong with the value of the counter.
func (t *tale) mayCount(n, floor int) string {
	switch started := len(t.counter); {
	case n < floor:
		return fmt.Sprintf("the counter is %d, want %d to %d: an increment is lost", n, floor, started)
	case n > started:
		return fmt.Sprintf("the counter is %d, want %d to %d: an increment counts twice", n, floor, started)
	}
	return ""
}

// identity is one session id of a tale. Its user's mu guards it.
type identity struct {
	base   string
	cookie string // the newest that names it
	tale   *tale

	ends   int       // Renew and Invalidate under way
	ending bool      // one was begun: from now on the id may be dead
	ended  time.Time // one was acknowledged: from now on it must be
	ender  *app
	held   nodeSet // the tombstone

	forgiven bool // it was seen again while nobody could know better
}

// nodeSet is the nodes that have something: for each the life during which it
// got it, 0 for those that have it not.
type nodeSet [wardSize]int

// count is the number of nodes.
func (h nodeSet) count() int {
	n := 0
	for _, life := range h {
		if life != 0 {
			n++
		}
	}
	return n
}

func (h nodeSet) String() string {
	var names []string
	for i, life := range h {
		if life != 0 {
			names = append(names, fmt.Sprint("n", i+1))
		}
	}
	if names == nil {
		return "no node"
	}
	return strings.Join(names, "+")
}

// incident is a line of a history.
type incident struct {
	from, to time.Time
	id       *identity // that was presented; nil: none, or it is no request
	text     string
}
