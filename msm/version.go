package msm

import (
	"errors"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// maxPlaces is on how many nodes a session is searched: its own, that of its
// second copy, and two that stand in for them.
const maxPlaces = 4

// version is a session as it was found on its places, or brought there. It
// belongs to one goroutine at a time; rec is shared and never changes.
type version struct {
	on    *topology // that its places are of
	base  string
	key   string
	rec   *record // nil: there is no session
	stamp stamp

	doubtful  stamp // the highest one of a store that may have happened, or happen yet
	fresh     bool  // made here, and never stored
	unwritten bool  // no place has it: it was there, and is lost

	buried   replica   // the newest living copy that the session's end has met
	rival    bool      // the session's end has met another one
	accessed time.Time // when the session was used last, before it was loaded
	places   [maxPlaces]replica
	n        int // of places
	source   int // a place that has the version, or, if it is unwritten, an older one; -1: none
	home     int // the session's node; -1: none was up
}

// roles returns the places of the session's node and of its second copy, as the
// nodes are now; -1 if there is none. Failover nodes are the session's only
// when no other is up; they take second copies like any other.
func (v *version) roles() (node, second int) {
	var up [maxPlaces]bool
	node, second = -1, -1
	for i := range v.n {
		h := &v.places[i]
		up[i] = !h.out && h.server.up()
		if up[i] && (node < 0 || v.places[node].server.failover && !h.server.failover) {
			node = i
		}
	}
	for step := 1; step < v.n && node >= 0; step++ {
		if i := (node + step) % v.n; up[i] {
			return node, i
		}
	}
	return node, second
}

// node is the name of the session's node, "" while none is up.
func (v *version) node() string { return v.name(v.home) }

// untouched tells whether no node can ever have a copy.
func (v *version) untouched() bool { return v.fresh && v.stamp == 0 && v.doubtful == 0 }

// clone returns a copy of v for another goroutine.
func (v *version) clone() *version {
	c := *v
	return &c
}

// unlearn forgets what is known of the copies.
func (v *version) unlearn() {
	for i := range v.n {
		h := &v.places[i]
		*h = replica{server: h.server, out: h.out, hung: h.hung, owed: h.owed}
	}
	v.source = -1
}

// name is what records and cookies call the node of a place, "" for none.
func (v *version) name(i int) string {
	if i < 0 {
		return ""
	}
	return v.places[i].server.name
}

// leaves tells whether the record names a node that is neither of the two: its
// copy would be left behind.
func (v *version) leaves(rec *record, node, second int) bool {
	for _, name := range []string{rec.node, rec.second} {
		if name != "" && name != v.name(node) && name != v.name(second) {
			return true
		}
	}
	return false
}

// seated tells whether the record names just these two nodes, in any order. With
// no second one it need not: nothing better can be done now.
func (v *version) seated(rec *record, node, second int) bool {
	return second < 0 || rec.second != "" && !v.leaves(rec, node, second)
}

// newest returns the place with the newest readable copy that reaches the
// epoch; -1 if there is none. A tombstone is newer than anything: an id that has
// ended is never used again.
func (v *version) newest(epoch uint16) int {
	best := -1
	for i := range v.n {
		h := &v.places[i]
		switch {
		case !h.readable():
		case h.rec.dead != alive:
			return i
		case h.raw().reaches(epoch) && (best < 0 || h.stamp().newerThan(v.places[best].stamp())):
			best = i
		}
	}
	return best
}

// adopt makes the copy at place i the session.
func (v *version) adopt(i int) {
	h := &v.places[i]
	v.rec, v.stamp, v.source = h.rec, h.stamp(), i
	v.fresh, v.unwritten = false, false
}

// isNowhere tells whether every place said that it has no copy.
func (v *version) isNowhere() bool {
	for i := range v.n {
		if v.places[i].known != absent {
			return false
		}
	}
	return v.rec == nil
}

// doubted tells whether a store whose outcome is unknown would outrank v.
func (v *version) doubted() bool { return v.doubtful != 0 && v.doubtful.newerThan(v.stamp) }

// highest is the stamp that whatever comes after v has to outrank.
func (v *version) highest() stamp {
	if v.doubted() {
		return v.doubtful
	}
	return v.stamp
}

// restore makes v what it was before storing it failed, but for what may have
// been stored all the same.
func (v *version) restore(was *version) {
	doubtful := v.doubtful
	*v = *was
	v.doubtful = doubtful
}

// meet takes note of what lies where the session's end is to be.
func (v *version) meet(h *replica) {
	switch {
	case v.rec.dead == alive || !h.readable():
	case h.rec.dead != alive:
		v.rival = v.rival || !h.rec.committed(v.rec.nonces.last())
	case !v.buried.readable() || h.stamp().newerThan(v.buried.stamp()):
		v.buried = *h
	}
}

// silentAreDown tells whether all places that did not answer are known to be down,
// and others answered.
func (v *version) silentAreDown() bool {
	down := 0
	for i := range v.n {
		if v.places[i].known == silent {
			if !errors.Is(v.places[i].err, memcache.ErrNodeDown) {
				return false
			}
			down++
		}
	}
	return down < v.n
}

// failure joins the errors of the places that did not answer.
func (v *version) failure() error {
	var errs []error
	for i := range v.n {
		if v.places[i].known == silent {
			errs = append(errs, v.places[i].err)
		}
	}
	return errors.Join(errs...)
}
