package msm

import (
	"time"

	"github.com/seed99545744/msm/memcache"
)

// knowledge is what is known of the copy at a place.
type knowledge uint8

const (
	unknown knowledge = iota
	absent            // the node said that there is none
	present           // item is what the node said
	silent            // the node did not answer
)

// replica is one place of a session and the copy that lies there.
type replica struct {
	server *server
	known  knowledge
	item   memcache.Item // its flags are the stamp; it has no value
	rec    *record       // nil if only the item's head was read, or it is spoilt
	spoilt error         // why the value cannot be read
	err    error         // why the node did not answer
	out    bool          // it did not answer this operation: it counts as down until the end
	hung   time.Time     // when it did not answer in time: it is not back soon
	owed   bool          // it held what the version was made from: it decides along
}

// raw is the stamp that the copy lies under.
func (h *replica) raw() stamp { return stamp(h.item.Flags) }

// stamp is that of the version that lies there. A node that the record does not
// name has been left, or hands the version over: it has it under the last stamp
// of the epoch before, so that no cookie of the version's own epoch finds it.
func (h *replica) stamp() stamp {
	if h.rec != nil && h.rec.dead == alive && !h.rec.names(h.server.name) {
		return h.raw().next()
	}
	return h.raw()
}

// names tells whether the record names the node as one that holds it.
func (r *record) names(node string) bool {
	return r.node == "" || r.node == node || r.second == node
}

// unread tells whether asking for the value would tell more.
func (h *replica) unread() bool {
	return h.known == unknown || h.known == present && h.rec == nil && h.spoilt == nil
}

// readable tells whether the replica has a record.
func (h *replica) readable() bool { return h.known == present && h.rec != nil }

// lacks tells whether the node has answered, and had no copy or an older one.
func (h *replica) lacks(v *version) bool {
	return h.known == absent || h.known == present && v.stamp.newerThan(h.raw())
}

// has tells whether the copy is v, at that stamp at least, or was made from v:
// what is newer in the same epoch has been decided at the same place.
func (h *replica) has(v *version, at stamp) bool {
	switch {
	case h.known != present || h.spoilt != nil || at.newerThan(h.raw()):
		return false
	case !h.stamp().newerThan(v.stamp):
		return h.rec == nil || h.rec.dead == v.rec.dead
	}
	return h.readable() && h.rec.dead == v.rec.dead && (h.stamp().epoch() == v.stamp.epoch() || !h.rec.nonces.lack(v.rec.nonces))
}
