package msm

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/ring"
)

// maxPlaces is on how many nodes a session is searched: its own, that of its
// second copy, and two that stand in for them.
const maxPlaces = 4

// A node that is down is tried again while sessions ask for it. The client's own
// pauses grow to seconds, and for so long instances would disagree about which
// nodes a session is on. These grow with the outage, and with what an attempt
// costs.
const (
	minReachPause = time.Millisecond
	maxReachPause = 200 * time.Millisecond
	quickReach    = 5 * time.Millisecond
	hungPause     = 200 * time.Millisecond // for the operation that has waited for it already
)

// server is one node, safe for concurrent use.
type server struct {
	// Immutable.
	id       string
	name     string           // the id as records and cookies have it; "" if there is one node, without an id
	failover bool             // takes sessions only while no other node is up
	client   *memcache.Client // every operation goes to this node
	patience time.Duration    // of an attempt to reach it
	outreach *outreach        // its attempts in the background

	// Atomic. Times are Unix nanoseconds.
	since atomic.Int64 // when the outage was noticed; 0: there is none
	next  atomic.Int64 // when the node may be tried to be reached again
	quick atomic.Bool  // the last attempt was soon over: the node refuses connections
}

// up tells whether operations are sent to the node. One that is down is tried
// again, in the background.
func (s *server) up() bool {
	if s.client.Up() {
		if s.since.Load() != 0 {
			s.since.Store(0)
		}
		return true
	}
	if s.due() {
		s.outreach.start(func() { s.reach(context.Background()) })
	}
	return false
}

// due tells one caller in a while that the node should be tried to be reached.
func (s *server) due() bool {
	now := time.Now().UnixNano()
	s.since.CompareAndSwap(0, now)
	next := s.next.Load()
	return now >= next && s.next.CompareAndSwap(next, now+int64(s.patience))
}

// cheap tells whether the node should be tried to be reached before something is
// decided without it.
func (s *server) cheap() bool { return s.due() || s.quick.Load() }

// reach connects to a node that was down, if it is back.
func (s *server) reach(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	start := time.Now()
	s.client.Reach(ctx) // its error is no news
	outage, took := start.Sub(time.Unix(0, s.since.Load())), time.Since(start)
	s.quick.Store(took < quickReach)
	pause := max(minReachPause, outage/32, 4*took)
	s.next.Store(time.Now().Add(min(pause, maxReachPause)).UnixNano())
}

// topology is a ring with its servers. It never changes.
type topology struct {
	client  *memcache.Client
	ring    *ring.Ring
	servers map[string]*server // by node id
}

func (s *store) newTopology(r *ring.Ring) *topology {
	t := &topology{client: s.client, ring: r, servers: make(map[string]*server)}
	nodes := r.Nodes()
	for _, n := range nodes {
		name := n.ID
		if isAnonymous(nodes) {
			name = ""
		}
		t.servers[n.ID] = &server{
			id: n.ID, name: name, failover: s.failover[n.ID], client: s.client.On(n.ID),
			patience: s.backupTimeout, outreach: s.outreach,
		}
	}
	return t
}

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
	rec    *record       // nil if only the item's head was read, or it is spoiled
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

// newVersion returns a version that knows its places and nothing else: the
// first of the ring's walk over the session's id, the same in every instance.
func (t *topology) newVersion(base, key string) *version {
	v := &version{on: t, base: base, key: key, source: -1, home: -1}
	for n := range t.ring.Walk(base) {
		v.places[v.n] = replica{server: t.servers[n.ID]}
		if v.n++; v.n == maxPlaces {
			break
		}
	}
	return v
}

// reseat gives v the places that sessions have by now, if its own are of other
// nodes: SetRing or Reconfigure has changed them. Of the copies only what the same
// client has told under the same key is still believed. It is false if nothing
// is known any more: then all places are to be asked.
func (s *store) reseat(v *version) bool {
	now := s.topology()
	if v.on == now {
		return true
	}
	next := now.newVersion(v.base, s.keys.session(v.base))
	next.rec, next.stamp, next.fresh, next.accessed, next.doubtful = v.rec, v.stamp, v.fresh, v.accessed, v.doubtful
	for i := range v.n {
		if v.on.client != now.client || v.key != next.key {
			break
		}
		next.inherit(v, i)
	}
	next.unwritten = !next.fresh && next.rec != nil && next.source < 0
	*v = *next
	return v.fresh || v.source >= 0
}

// inherit takes over what v knows of the copy at its place i.
func (next *version) inherit(v *version, i int) {
	for j := range next.n {
		server := next.places[j].server
		if server.id != v.places[i].server.id || server.name != v.places[i].server.name {
			continue
		}
		next.places[j] = v.places[i]
		next.places[j].server = server
		if v.source == i && !v.unwritten {
			next.source = j
		}
		if v.home == i {
			next.home = j
		}
	}
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

// restore makes v what it was before storing it failed.
func (v *version) restore(was *version) {
	doubtful := v.doubtful
	*v = *was
	v.doubtful = doubtful
}

// bury takes note of what lies where the session's end is to be.
func (v *version) bury(h *replica) {
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
