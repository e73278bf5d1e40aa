package mux

import "github.com/seed99545744/msm/internal/proto"

// maxGathered bounds the gets that share one request line.
const maxGathered = settleBatch

// gatherer is a codec in which a get that waits to be written can take in the
// key of another. Servers answer pipelined classic gets one write each, several
// times slower than one get of many keys.
type gatherer interface {
	// AppendKey adds a key to the get at the end of dst.
	AppendKey(dst []byte, key string) []byte
}

// gather adds the call to the get that was queued last, if that is still to be
// written, and reports whether it did. The caller holds mu and queues the call.
func (c *Conn) gather(call *Call) bool {
	end := c.queue.end()
	if c.gatherer == nil || call.Req.Op != proto.OpGet || end == c.taken.Load() {
		return false
	}
	last := c.queue.at(end - 1)
	if last.Req.Op != proto.OpGet || last.place+1 == maxGathered {
		return false
	}
	call.place = last.place + 1
	c.pending = c.gatherer.AppendKey(c.pending, call.Req.Key)
	return true
}

// group is the reply that gathered gets have in common, which is that of a
// multi-get. None of them is answered before it is complete and verified.
type group struct {
	req proto.Request
	rep proto.Reply
	n   int // how many calls; 0: no group is being read
}

// begin makes a group of the gathered gets at pos and behind.
func (g *group) begin(q *fifo, pos, taken uint64) {
	g.req = proto.Request{Op: proto.OpGetMulti, Keys: g.req.Keys[:0]}
	g.rep = proto.Reply{}
	for g.n = 0; pos < taken && (g.n == 0 || q.at(pos).place == g.n); pos++ {
		g.req.Keys = append(g.req.Keys, q.at(pos).Req.Key)
		g.n++
	}
}

// deal passes on to its owner what the reply says of the key it has come to.
func (g *group) deal(q *fifo, pos uint64) *Call {
	call := q.at(pos + uint64(g.rep.Index))
	call.Rep = g.rep
	call.hit = true
	return call
}

// end completes the calls of the group: what was not dealt is a miss, or what
// the server said instead of a reply.
func (g *group) end(q *fifo, pos uint64) {
	for i := range g.n {
		if call := q.at(pos + uint64(i)); !call.hit {
			call.Rep.Status, call.Rep.Line = g.rep.Status, g.rep.Line
			if g.rep.Status == proto.StatusOK {
				call.Rep.Status = proto.StatusMiss
			}
		}
	}
	clear(g.req.Keys)
	g.n = 0
}
