package node

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/internal/proto"
)

// Stats is a snapshot of a Node and of what it has done.
type Stats struct {
	DownSince time.Time // zero while the node is up
	Cause     error     // why it is down

	Conns    int // living connections
	InFlight int // requests without an answer, given up ones included

	Outcomes
}

// Outcomes counts how operations ended: hits and misses by key, all else by
// request.
type Outcomes struct {
	Hits, Misses            uint64
	Done                    uint64 // others that were answered and not refused
	Refused                 uint64 // by the server, for a reason that lies in the request
	Invalid                 uint64 // not sent: bad keys, requests that the protocol lacks
	Timeouts                uint64
	Cancelled               uint64 // by their callers
	Lost                    uint64 // with their connection
	Violations              uint64 // of the protocol, by the server
	Down                    uint64 // not sent: the node was down, or closed
	BytesRead, BytesWritten uint64 // of values
	Dials, DialErrors       uint64
}

// counters are the Outcomes of operations that were not answered. All are atomic.
type counters struct {
	refused    atomic.Uint64 // for the server, which has not seen them
	invalid    atomic.Uint64
	timeouts   atomic.Uint64
	cancelled  atomic.Uint64
	lost       atomic.Uint64
	violations atomic.Uint64
	down       atomic.Uint64
	dialErrors atomic.Uint64
}

// failed counts a call without a reply.
func (c *counters) failed(err error) {
	switch {
	case errors.Is(err, ErrYounger):
		c.refused.Add(1)
	case errors.Is(err, proto.ErrUnsupported):
		c.invalid.Add(1)
	case errors.Is(err, ErrDown), errors.Is(err, ErrClosed):
		c.down.Add(1)
	case errors.Is(err, context.Canceled):
		c.cancelled.Add(1)
	case errors.Is(err, context.DeadlineExceeded):
		c.timeouts.Add(1)
	case errors.Is(err, proto.ErrProtocol):
		c.violations.Add(1)
	default:
		c.lost.Add(1)
	}
}

// Stats returns a snapshot. Its numbers are not from one instant.
func (n *Node) Stats() Stats {
	var s Stats
	if o := n.down.Load(); o != nil {
		o.mu.Lock()
		s.DownSince, s.Cause = o.since, o.err
		o.mu.Unlock()
	}
	for i := range n.slots {
		if c := n.slots[i].living(); c != nil {
			s.Conns++
			s.InFlight += c.InFlight()
		}
	}
	c, a := &n.counts, &n.answers
	s.Outcomes = Outcomes{
		Hits: a.Hits.Load(), Misses: a.Misses.Load(), Done: a.Done.Load(),
		Refused: a.Refused.Load() + c.refused.Load(), Invalid: c.invalid.Load(),
		Timeouts: c.timeouts.Load(), Cancelled: c.cancelled.Load(),
		Lost: c.lost.Load(), Violations: c.violations.Load(), Down: c.down.Load(),
		BytesRead: a.BytesRead.Load(), BytesWritten: a.BytesWritten.Load(),
		Dials: uint64(n.dials.Load()), DialErrors: c.dialErrors.Load(),
	}
	return s
}
