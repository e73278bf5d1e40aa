package msm

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/ring"
)

// maxPlaces is on how many nodes a session is searched: its own, that of its
// second copy, and two that stand in for them.
const maxPlaces = 4

// downPause is how long a node that refused an operation is passed over before
// one caller tries it again. Refusals cost nothing; being refused in the middle
// of a load costs a second round.
const downPause = 20 * time.Millisecond

// server is one node, safe for concurrent use.
type server struct {
	// Immutable.
	id       string
	name     string           // the id as records and cookies have it; "" if there is one node, without an id
	failover bool             // takes sessions only while no other node is up
	client   *memcache.Client // every operation goes to this node

	refused atomic.Int64 // when it was found down, in Unix nanoseconds; 0: it was not
}

// up tells whether the node is worth an operation.
func (s *server) up() bool {
	at := s.refused.Load()
	if at == 0 {
		return true
	}
	now := time.Now().UnixNano()
	return now-at > int64(downPause) && s.refused.CompareAndSwap(at, now)
}

// learn remembers what an operation's error says about the node.
func (s *server) learn(err error) {
	if errors.Is(err, memcache.ErrNodeDown) {
		s.refused.Store(time.Now().UnixNano())
	} else if s.refused.Load() != 0 {
		s.refused.Store(0)
	}
}

// topology is a ring with its servers. It never changes.
type topology struct {
	ring    *ring.Ring
	servers map[string]*server // by node id
}

func newTopology(client *memcache.Client, r *ring.Ring, failover map[string]bool) *topology {
	t := &topology{ring: r, servers: make(map[string]*server)}
	nodes := r.Nodes()
	for _, n := range nodes {
		name := n.ID
		if isAnonymous(nodes) {
			name = ""
		}
		t.servers[n.ID] = &server{id: n.ID, name: name, failover: failover[n.ID], client: client.On(n.ID)}
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
}

func (h *replica) stamp() stamp { return stamp(h.item.Flags) }

// unread tells whether asking for the value would tell more.
func (h *replica) unread() bool {
	return h.known == unknown || h.known == present && h.rec == nil && h.spoilt == nil
}

// readable tells whether the replica has a record.
func (h *replica) readable() bool { return h.known == present && h.rec != nil }

// version is a session as it was found on its places, or brought there. It
// belongs to one goroutine at a time; rec is shared and never changes.
type version struct {
	base  string
	key   string
	rec   *record // nil: there is no session
	stamp stamp
	built stamp // of the version that rec was made from: no copy up to it has anything that rec lacks

	fresh     bool // made here, and never stored
	unwritten bool // no place has it: the next write is more than a repair

	accessed time.Time // when the session was used last, before it was loaded
	places   [maxPlaces]replica
	n        int // of places
	source   int // the place whose copy rec is: the CAS there decides; -1: none
	home     int // the session's node; -1: none was up
}

// newVersion returns a version that knows its places and nothing else: the
// first of the ring's walk over the session's id, the same in every instance.
func (t *topology) newVersion(base, key string) *version {
	v := &version{base: base, key: key, source: -1, home: -1}
	for n := range t.ring.Walk(base) {
		v.places[v.n] = replica{server: t.servers[n.ID]}
		if v.n++; v.n == maxPlaces {
			break
		}
	}
	return v
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
func (v *version) node() string {
	if v.home < 0 {
		return ""
	}
	return v.places[v.home].server.name
}

// untouched tells whether no node can ever have a copy.
func (v *version) untouched() bool { return v.fresh && v.stamp == 0 }

// clone returns a copy of v for another goroutine.
func (v *version) clone() *version {
	c := *v
	return &c
}

// unlearn forgets what is known of the copies.
func (v *version) unlearn() {
	for i := range v.n {
		h := &v.places[i]
		*h = replica{server: h.server, out: h.out}
	}
	v.source = -1
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
		case h.stamp().reaches(epoch) && (best < 0 || h.stamp().newerThan(v.places[best].stamp())):
			best = i
		}
	}
	return best
}

// adopt makes the copy at place i the session.
func (v *version) adopt(i int) {
	h := &v.places[i]
	v.rec, v.stamp, v.built, v.source = h.rec, h.stamp(), h.stamp(), i
	v.fresh, v.unwritten = false, false
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
