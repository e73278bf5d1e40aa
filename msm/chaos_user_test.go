package msm

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// maxGraves is how many ids that have ended a user goes on trying.
const maxGraves = 4

// person is somebody with a browser: one session at a time, and now and then
// several requests at once.
type person struct {
	c      *chaos
	number int
	rng    *rand.Rand // owned by the user's goroutine

	// visited is the phase in which the user was served last by a session that is
	// whole.
	visited atomic.Int64

	mu     sync.Mutex // guards what follows, and everything in its tales
	tale   *tale      // nil: not logged in
	id     *identity  // the browser's cookie; nil with tale
	logins int
	graves []*identity // the newest last
}

// settleOn puts a cookie into the browser. The caller has mu.
func (u *person) settleOn(id *identity) {
	if u.tale == id.tale {
		u.id = id
	}
}

// abandon makes the user log in again. The caller has mu.
func (u *person) abandon(t *tale) {
	if u.tale == t {
		u.tale, u.id = nil, nil
	}
}

// bury remembers an id that has ended. The caller has mu.
func (u *person) bury(id *identity) {
	u.graves = append(u.graves, id)
	if len(u.graves) > maxGraves {
		u.graves = u.graves[1:]
	}
}

// request is what the user asks for with the cookie that the browser has now.
func (u *person) request(branch int, steps ...step) *request {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := &request{c: u.c, u: u, t: u.tale, id: u.id, branch: branch, steps: steps}
	if u.id != nil {
		r.cookie = u.id.cookie
	}
	return r
}

// live is what users do until the run is over.
func (u *person) live() {
	for {
		phase, hurry, over := u.c.look()
		switch {
		case over:
			return
		case phase != u.visited.Load() && (hurry || u.rng.IntN(4) == 0):
			u.visit()
			u.visited.Store(phase)
			u.c.moved()
		case !hurry:
			u.roam()
		}
		u.c.sleep(u.upTo(2 * u.c.mode.think))
	}
}

// roam is one of the things users do.
func (u *person) roam() {
	if !u.loggedIn() {
		u.logIn()
		return
	}
	switch n := u.rng.IntN(100); {
	case n < 52:
		u.send(u.request(0, u.steps()...))
	case n < 72:
		u.burst()
	case n < 76:
		u.send(u.request(0, step{kind: checkIn}, step{kind: renew}))
	case n < 79:
		u.send(u.request(0, step{kind: checkIn}, u.wait(), step{kind: setOwn}, step{kind: renew}, step{kind: count}, step{kind: readAll}))
	case n < 82:
		u.send(u.request(0, step{kind: checkIn}, step{kind: invalidate}))
	default:
		u.replay()
	}
}

func (u *person) loggedIn() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tale != nil
}

func (u *person) logIn() {
	u.mu.Lock()
	u.logins++
	u.tale, u.id = &tale{name: fmt.Sprintf("u%02d.%d", u.number, u.logins)}, nil
	u.mu.Unlock()
	u.send(u.request(0, step{kind: logIn}))
}

func (u *person) wait() step {
	limit := 8 * u.c.mode.think
	if u.rng.IntN(10) == 0 {
		limit *= 10
	}
	return step{wait, u.upTo(limit)}
}

// steps is a handler's program that does not end the session.
func (u *person) steps() []step {
	kinds := []stepKind{readAll, setOwn, setOwn, count, count, deleteOwn, save}
	var steps []step
	if blind := u.rng.IntN(8) == 0; blind {
		kinds = kinds[1:6]
	} else {
		steps = append(steps, step{kind: checkIn})
	}
	for range 1 + u.rng.IntN(3) {
		if u.rng.IntN(4) == 0 {
			steps = append(steps, u.wait())
		}
		steps = append(steps, step{kind: kinds[u.rng.IntN(len(kinds))]})
	}
	return steps
}

// burst is several requests at once. At times one of them, or two, end the id
// that all of them have.
func (u *person) burst() {
	var requests []*request
	n, end := 2+u.rng.IntN(branches-1), u.rng.IntN(40)
	for branch := range n {
		steps := u.steps()
		switch {
		case end < 8:
			steps = append([]step{{kind: checkIn}}, steps...)
			if branch == 0 || branch == 1 && end == 0 {
				kind := renew
				if end < 3 && end > 0 {
					kind = invalidate
				}
				steps = []step{{kind: checkIn}, u.wait(), {kind: kind}}
			}
		case end < 12:
			steps = []step{{kind: checkIn}, {kind: count}}
		}
		requests = append(requests, u.request(branch, steps...))
	}
	places := make([]int, n)
	for i := range places {
		places[i] = u.place(requests[i])
	}
	var group sync.WaitGroup
	for i, r := range requests {
		group.Go(func() { u.c.send(r, places[i]) }) // ends with its request; waited for below
	}
	group.Wait()
}

// replay sends the cookie of an id that has ended.
func (u *person) replay() {
	u.mu.Lock()
	if len(u.graves) == 0 {
		u.mu.Unlock()
		return
	}
	id := u.graves[u.rng.IntN(len(u.graves))]
	r := &request{c: u.c, u: u, t: id.tale, id: id, cookie: id.cookie, steps: []step{{kind: checkIn}}}
	u.mu.Unlock()
	switch u.rng.IntN(4) {
	case 0: // as a login page would
		r.steps = []step{{kind: intrude}}
	case 1: // with what was known when the id was new
		named, _ := parseID(r.cookie)
		named.node, named.epoch = "", 0
		r.cookie = named.String()
	}
	u.send(r)
}

// send sends a request to where the load balancer sends it.
func (u *person) send(r *request) { u.c.send(r, u.place(r)) }

// place is the number of the instance that a request is sent to: with sticky
// sessions that of the cookie's route, most of the time.
func (u *person) place(r *request) int {
	if id, ok := parseID(r.cookie); ok && !u.c.mode.nonSticky && u.rng.IntN(12) > 0 {
		for _, a := range u.c.apps {
			if a.route == id.route {
				return a.number
			}
		}
	}
	return u.rng.IntN(len(u.c.apps))
}

// visit makes sure that the session is stored after the last fault: on two
// nodes, if two are well.
func (u *person) visit() {
	var last *request
	for end := time.Now().Add(patience); time.Now().Before(end); u.c.sleep(10 * u.c.mode.think) {
		if !u.loggedIn() {
			u.logIn()
			continue
		}
		last = u.request(0, step{kind: checkIn}, step{kind: readAll}, step{kind: count})
		u.send(last)
		if u.c.mode.async {
			u.c.sleep(2 * chaosOperationTimeout)
			last.lookAgain()
		}
		if last.whole() {
			return
		}
	}
	if last != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.c.violated(last, last.view.at.Add(-time.Second), "for %v the session was not stored on two nodes that are well, or one if no other is", patience)
	}
}

// lookAgain finds out where the change is by now.
func (r *request) lookAgain() {
	r.u.mu.Lock()
	base, sign := r.t.heldAs, r.t.sign
	r.u.mu.Unlock()
	held := r.c.inspect(base, func(rec *record) bool { return rec.dead != alive || rec.committed(sign) })
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	if r.t.heldAs == base && r.t.sign == sign {
		r.t.held = held
	}
}

// whole tells whether the request's change is on two nodes that answer, if two
// are well.
func (r *request) whole() bool {
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	well := r.then.well(r.t.held)
	for i, a := range r.then.state {
		if (a == slow || a == swamped) && r.t.held[i] == r.then.lives[i] {
			well++
		}
	}
	return r.stored && well >= min(2, r.then.healthy())
}

// close looks at everything once more when all nodes are well.
func (u *person) close() {
	for i := range u.c.apps {
		if u.loggedIn() {
			u.c.send(u.request(0, step{kind: checkIn}, step{kind: readAll}, step{kind: count}), i)
		}
		u.mu.Lock()
		graves := u.graves
		u.mu.Unlock()
		for _, id := range graves {
			u.c.send(&request{c: u.c, u: u, t: id.tale, id: id, cookie: id.cookie, steps: []step{{kind: checkIn}}}, i)
		}
	}
}

// upTo is a random duration below limit.
func (u *person) upTo(limit time.Duration) time.Duration {
	return time.Duration(u.rng.Int64N(int64(limit)))
}
