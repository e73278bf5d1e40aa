package memcache

import "time"

// Stats is a snapshot of what a Client has done. Its numbers are not from one
// instant.
type Stats struct {
	Nodes []NodeStats // in the order of the ring
}

// NodeStats is what a Client has done at one node since New, or since SetRing
// brought the node in. Hits and Misses count keys. All other operations, and
// reads that were refused or failed, count by request, of which a GetMulti makes
// one for up to 100 keys.
type NodeStats struct {
	ID, Addr string

	// State of the node. Cause and DownSince are zero while it is up.
	Up        bool
	DownSince time.Time
	Cause     error

	Conns      int    // living connections
	InFlight   int    // requests without an answer, also those whose callers have left
	Dials      uint64 // connections made
	DialErrors uint64

	Hits, Misses uint64 // keys that Get, GetInto, GetAndTouch, HeadAndTouch and GetMulti found, or did not
	Done         uint64 // other operations that were answered and not refused; ErrMiss is no refusal
	Refused      uint64 // by the server, for a reason that lies in the request: ErrNotStored, *ServerError and the like

	// Failures, by kind.
	Invalid   uint64 // not sent: ErrKey, ErrUnsupported
	NotSent   uint64 // the node was down or the Client closed
	Timeouts  uint64
	Cancelled uint64 // by their callers' ctx
	Lost      uint64 // with their connection
	Protocol  uint64 // ErrProtocol

	BytesRead, BytesWritten uint64 // of values, in operations that succeeded
}

// Ops returns the number of operations, whatever became of them.
func (s *NodeStats) Ops() uint64 {
	return s.Hits + s.Misses + s.Done + s.Refused + s.Errors()
}

// Errors returns the number of failures of all kinds.
func (s *NodeStats) Errors() uint64 {
	return s.Invalid + s.NotSent + s.Timeouts + s.Cancelled + s.Lost + s.Protocol
}

// Stats returns a snapshot of what has been done; of a view, at its node.
func (c *Client) Stats() Stats {
	var stats Stats
	for _, n := range c.nodes(c.core.topology.Load()) {
		s := n.Stats()
		stats.Nodes = append(stats.Nodes, NodeStats{
			ID: n.ID(), Addr: n.Addr(),
			Up: s.Cause == nil, DownSince: s.DownSince, Cause: s.Cause,
			Conns: s.Conns, InFlight: s.InFlight, Dials: s.Dials, DialErrors: s.DialErrors,
			Hits: s.Hits, Misses: s.Misses, Done: s.Done, Refused: s.Refused,
			Invalid: s.Invalid, NotSent: s.Down, Timeouts: s.Timeouts, Cancelled: s.Cancelled,
			Lost: s.Lost, Protocol: s.Violations,
			BytesRead: s.BytesRead, BytesWritten: s.BytesWritten,
		})
	}
	return stats
}
