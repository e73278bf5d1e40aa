package msm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/memcache"
)

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
	since   atomic.Int64 // when the outage was noticed; 0: there is none
	next    atomic.Int64 // when the next attempt to reach it is due
	quick   atomic.Bool  // the last attempt was soon over: the node refuses connections
	untried atomic.Bool  // no attempt of this outage has ended
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

// due tells one caller in a while to try to reach the node.
func (s *server) due() bool {
	now := time.Now().UnixNano()
	if s.since.CompareAndSwap(0, now) {
		s.untried.Store(true)
	}
	next := s.next.Load()
	return now >= next && s.next.CompareAndSwap(next, now+int64(s.patience))
}

// cheap tells whether to try to reach the node before something is decided
// without it: that is due, or soon over, or nobody knows yet how long it takes.
func (s *server) cheap() bool { return s.due() || s.quick.Load() || s.untried.Load() }

// reach connects to a node that was down, if it is back.
func (s *server) reach(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	start := time.Now()
	s.client.Reach(ctx) // its error is no news
	outage, took := start.Sub(time.Unix(0, s.since.Load())), time.Since(start)
	s.quick.Store(took < quickReach)
	s.untried.Store(false)
	pause := max(minReachPause, outage/32, 4*took)
	s.next.Store(time.Now().Add(min(pause, maxReachPause)).UnixNano())
}
