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

// advance adopts the newest version that is known, and tells whether that is
// another one.
func (v *version) advance() bool {
	i := v.newest(v.stamp.epoch())
	if i < 0 || v.rec.dead != alive || v.places[i].rec.dead == alive && !v.places[i].stamp().newerThan(v.stamp) {
		return false
	}
	v.adopt(i)
	return true
}

// forgotten tells whether the node that decides about v is there and has lost
// it, while the other one has it. If it just got v back it would decide anew
// what it may have decided before. A version that begins an epoch may not have
// come there yet.
func (v *version) forgotten() bool {
	first, second := v.place(v.rec.node), v.place(v.rec.second)
	return first >= 0 && second >= 0 && !v.stamp.first() && v.places[first].lacks(v) && !v.places[second].lacks(v)
}

// place returns the place of the node with that name, -1 if there is none.
func (v *version) place(name string) int {
	for i := range v.n {
		if v.places[i].server.name == name {
			return i
		}
	}
	return -1
}

// owe notes which places the record names.
func (v *version) owe(rec *record) {
	for i := range v.n {
		h := &v.places[i]
		h.owed = h.owed || h.server.name != "" && (h.server.name == rec.node || h.server.name == rec.second)
	}
}

// agreed tells whether the first round has settled everything, and then adopts
// the session.
func (v *version) agreed(node, second int, floor uint16) bool {
	if node < 0 || !v.places[node].readable() {
		return false
	}
	h := &v.places[node]
	if v.n > 1 && (second < 0 || v.places[second].known != present || v.places[second].raw() != h.raw()) {
		return false
	}
	if h.rec.dead == alive && (!h.raw().reaches(floor) || !v.seated(h.rec, node, second)) {
		return false
	}
	v.adopt(node)
	return true
}

// abandoned tells whether the newest copy lies on a node that the session has
// left, as that copy itself says, while one of those where it went is silent.
func (v *version) abandoned(floor uint16) bool {
	best := v.newest(floor)
	if best < 0 || v.places[best].rec.dead != alive || v.places[best].rec.names(v.places[best].server.name) {
		return false
	}
	for i := range v.n {
		if h := &v.places[i]; h.known == silent && v.places[best].rec.names(h.server.name) {
			return true
		}
	}
	return false
}

// missing tells whether a node that did not answer may know better than the
// newest copy: it is one of those that the copy names, or one of those has lost
// it, and with it perhaps a tombstone that a third has.
func (v *version) missing(floor uint16) bool {
	best := v.newest(floor)
	if best < 0 {
		return false
	}
	rec, silence, named, complete := v.places[best].rec, false, false, true
	for i := range v.n {
		h := &v.places[i]
		names := rec.names(h.server.name)
		silence = silence || h.known == silent
		named = named || names && h.known == silent
		complete = complete && (!names || h.known == present && h.raw() == v.places[best].raw())
	}
	return named || silence && !complete
}
