package mux

import (
	"bytes"
	"time"

	"github.com/seed99545744/msm/internal/proto"
)

// settleBatch bounds the calls that are taken off the queue under one lock.
const settleBatch = 64

// input is what has been read, and where the reply at its front stands. It
// outlives the reader that left it: the next one goes on from there.
type input struct {
	buf  []byte // buf[r:w] is read and not yet parsed
	r, w int

	inValue bool   // the head call's value comes next
	value   []byte // inValue: what it is read into, if not through buf, with room for its tail
	got     int    // bytes of value read so far
	own     bool   // value is the memory of the call that it belongs to
	direct  int    // the length of the last value of this reply if it was read into value, else 0
	bulk    int    // direct of the last reply

	group group // the gathered gets that the reply at the front answers

	heir *Call // the owner who takes over the reader's role, to read into its own memory
}

// fill reads once, into the value at hand or into the buffer.
func (c *Conn) fill() error {
	in := &c.in
	var n int
	var err error
	if in.value != nil {
		n, err = c.socket.read(in.value[in.got:])
		in.got += n
	} else {
		n, err = c.socket.read(in.space())
		in.w += n
	}
	if n == 0 {
		return err
	}
	c.heard.Store(int64(time.Since(c.born)))
	return nil // an error that came with bytes comes again
}

// space returns the part of the buffer to read into. The buffer grows once a
// read has filled it and left a part of a reply: then more than one read's worth
// was waiting. Where large values come, the next one is not to be caught in it.
func (in *input) space() []byte {
	switch {
	case in.r == in.w:
		in.r, in.w = 0, 0
	case in.w == len(in.buf):
		if len(in.buf) < readBufMax {
			old := in.buf
			in.buf = make([]byte, readBufMax)
			in.w = copy(in.buf, old[in.r:])
		} else {
			in.w = copy(in.buf, in.buf[in.r:])
		}
		in.r = 0
	}
	if in.direct > 0 || in.bulk > 0 {
		return in.buf[in.w:min(len(in.buf), in.w+readBufMin)]
	}
	return in.buf[in.w:]
}

// window returns how many calls may be in flight after the last reply.
func (in *input) window() int {
	if in.bulk == 0 {
		return MaxInFlight
	}
	return max(minWindow, maxReplies/in.bulk)
}

// parse consumes complete replies from the input and counts their calls. The
// calls at the front of the queue are read without mu: they stay there until
// settle.
func (c *Conn) parse(self *Call) (n int, err error) {
	in := &c.in
	for first := c.queue.first(); n < settleBatch; {
		pos, taken := first+uint64(n), c.taken.Load()
		if pos >= taken {
			if in.w > in.r {
				return n, errStray
			}
			return n, nil
		}
		if c.gatherer != nil && in.group.n == 0 {
			in.group.begin(&c.queue, pos, taken)
		}
		k, err := c.parseReply(pos, self)
		if k == 0 {
			return n, err
		}
		n += k
	}
	return n, nil
}

// parseReply goes on with the reply at pos and returns the number of calls that
// it has completed: 0 if more bytes are needed.
func (c *Conn) parseReply(pos uint64, self *Call) (n int, err error) {
	in := &c.in
	call := c.queue.at(pos)
	req, rep := &call.Req, &call.Rep
	shared := in.group.n > 1
	if shared {
		req, rep = &in.group.req, &in.group.rep
	}
	for {
		if in.inValue {
			if shared {
				call = in.group.deal(&c.queue, pos)
			}
			if !c.takeValue(call, self) {
				return 0, nil
			}
			in.inValue = false
		}
		k, step, err := c.codec.Parse(in.buf[in.r:in.w], req, rep)
		in.r += k
		switch {
		case err != nil:
			return 0, err
		case step == proto.StepMore:
			return 0, nil
		case step == proto.StepDone && shared:
			n = in.group.n
			in.group.end(&c.queue, pos)
			in.bulk, in.direct = in.direct, 0
			return n, nil
		case step == proto.StepDone:
			in.group.n = 0
			in.bulk, in.direct = in.direct, 0
			return 1, nil
		}
		in.inValue = true
	}
}

// takeValue moves the value at the front of the input to where it belongs and
// reports whether all of it was there. A large one is read past the buffer.
func (c *Conn) takeValue(call, self *Call) bool {
	in := &c.in
	size := call.Rep.Size
	if in.value == nil {
		if in.w-in.r >= size {
			c.keep(call, in.buf[in.r:in.r+size])
			in.r += size
			in.direct = 0
			return true
		}
		if size < directMin {
			return false
		}
		if call.Buf != nil && call != self && c.handOver(call) {
			return false
		}
		in.value, in.own = newValue(call, self, size, len(c.tail))
		in.direct = size
		in.got = copy(in.value, in.buf[in.r:in.w])
		in.r += in.got
	}
	if in.got < size {
		return false
	}
	if tail := in.value[size:in.got]; len(tail) > 0 {
		// It came along; it goes back to where Parse looks for it. Nothing
		// lies behind it: what was in the buffer was less than the value.
		in.r, in.w = 0, copy(in.buf, tail)
	}
	call.put(in.value[:size:size])
	in.value, in.own = nil, false
	return true
}

// newValue returns the memory for a value that is read past the buffer. Only
// the owner itself reads into its own memory: to anybody else it may be gone
// at any moment.
func newValue(call, self *Call, size, tail int) (value []byte, own bool) {
	if call == self && cap(call.Buf) >= size {
		return call.Buf[:min(size+tail, cap(call.Buf))], true
	}
	return make([]byte, size+tail), false
}

// disown moves a half-read value out of the memory of its owner, who leaves.
func (in *input) disown() {
	if in.own {
		in.value, in.own = bytes.Clone(in.value), false
	}
}

// handOver makes the owner of a value the next reader, so that it can read it
// into its own memory. It reports false if the owner is not there to do so.
func (c *Conn) handOver(owner *Call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if owner.state != waiting {
		return false
	}
	owner.state = started // settle sends the token
	c.in.heir = owner
	return true
}

// keep stores a copy of a value that lies in the buffer. Into an owner's own
// memory it is copied under mu, so that the owner cannot leave meanwhile.
func (c *Conn) keep(call *Call, b []byte) {
	if cap(call.Buf) < len(b) || call.Buf == nil {
		call.put(bytes.Clone(b)) // which, unlike make, does not clear it first
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.state != abandoned && c.err == nil {
		call.put(append(call.Buf[:0], b...))
	}
}

// put gives a value to its call.
func (call *Call) put(v []byte) {
	if call.Req.Op != proto.OpGetMulti {
		call.Value = v
		return
	}
	call.Items = append(call.Items, Item{call.Rep.Index, call.Rep.Flags, call.Rep.CAS, v})
}
