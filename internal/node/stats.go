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

// counters are Outcomes in the making. All are atomic.
type counters struct {
	hits, misses            atomic.Uint64
	done                    atomic.Uint64
	refused                 atomic.Uint64
	invalid                 atomic.Uint64
	timeouts                atomic.Uint64
	cancelled               atomic.Uint64
	lost                    atomic.Uint64
	violations              atomic.Uint64
	down                    atomic.Uint64
	bytesRead, bytesWritten atomic.Uint64
	dialErrors              atomic.Uint64
}

// answered counts a call with its reply.
func (c *counters) answered(call *Call) {
	switch {
	case call.Req.Op == proto.OpGetMulti:
		var bytes uint64
		for i := range call.Items {
			bytes += uint64(len(call.Items[i].Value))
		}
		c.bytesRead.Add(bytes)
		c.hits.Add(uint64(len(call.Items)))
		if call.Rep.Status == proto.StatusOK {
			c.misses.Add(uint64(len(call.Req.Keys) - len(call.Items)))
			return
		}
		c.refused.Add(1)
	case call.Rep.Status == proto.StatusOK && isRead(call.Req.Op):
		c.hits.Add(1)
		c.bytesRead.Add(uint64(len(call.Value)))
	case call.Rep.Status == proto.StatusMiss && isRead(call.Req.Op):
		c.misses.Add(1)
	case call.Rep.Status == proto.StatusOK, call.Rep.Status == proto.StatusMiss:
		c.done.Add(1)
		c.bytesWritten.Add(uint64(len(call.Req.Value)))
	default:
		c.refused.Add(1)
	}
}

func isRead(op proto.Op) bool {
	return op == proto.OpGet || op == proto.OpGetAndTouch || op == proto.OpGetMulti
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
	c := &n.counts
	s.Outcomes = Outcomes{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Done: c.done.Load(),
		Refused: c.refused.Load(), Invalid: c.invalid.Load(),
		Timeouts: c.timeouts.Load(), Cancelled: c.cancelled.Load(),
		Lost: c.lost.Load(), Violations: c.violations.Load(), Down: c.down.Load(),
		BytesRead: c.bytesRead.Load(), BytesWritten: c.bytesWritten.Load(),
		Dials: uint64(n.dials.Load()), DialErrors: c.dialErrors.Load(),
	}
	return s
}
