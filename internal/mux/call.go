package mux

import (
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/internal/proto"
)

// Call is one request on its way and what came back for it. Its owner fills
// Req (and Buf), gives it to Start and Wait, and reads the rest after Wait
// returned nil. Then it may be used again. A call that ended in an error must
// not be, unless that says Unused: the connection may still hold it.
type Call struct {
	Req   proto.Request
	Rep   proto.Reply
	Buf   []byte // in: where the value goes if it fits; may be nil. Any of its memory may be written to until Wait returns
	Value []byte // out: the value of a get
	Items []Item // out: what OpGetMulti found, in the order of Keys

	// Began, in, is when the operation began that the call is part of: Timeout
	// counts from then. Zero: with Start.
	Began time.Time

	// More, in, says that the caller starts another call at once, on the same
	// connection, or else waits for this one: the request may wait for that.
	More bool

	// wake carries exactly one token to an owner whose state was waiting.
	wake chan token

	// gen counts the uses of the call that were watched. An interrupt that comes
	// late finds another number than it was made for. Written under the mu of
	// the connection that the call is on.
	gen atomic.Uint32

	place int  // of gathered gets: which of them; written before it is taken
	hit   bool // of gathered gets: it has its value; owned by the reader

	// Owned by the owner.
	timer *time.Timer // of awaitFor; kept for the next time
	began time.Time   // Began, or when Start was called

	// Guarded by the mu of the connection that the call is on.
	state   callState
	watched bool      // an interrupt has been made for this use
	err     error     // done: why it failed, or nil
	quit    error     // why the owner must leave, from an interrupt
	due     time.Time // when the owner must leave
}

// Started returns Began, or when Start was called.
func (call *Call) Started() time.Time { return call.began }

// Item is one hit of OpGetMulti.
type Item struct {
	Index int // into Req.Keys
	Flags uint32
	CAS   uint64
	Value []byte
}

// token tells a sleeping owner why it was woken.
type token bool

const (
	answered  token = true  // the call is done: the owner need not look further
	lookAgain token = false // something is to be done by the owner, whatever it is
)

// callState says where a call is and what its owner does meanwhile.
type callState uint8

const (
	started   callState = iota // in the queue, or not yet; its owner is running
	waiting                    // in the queue; its owner sleeps until a token comes
	done                       // the reply is complete, or err says why not
	abandoned                  // in the queue, its owner has left: the reply is dropped
)

// prepare makes the call fresh for one more use.
func (call *Call) prepare(now time.Time, timeout time.Duration) {
	if call.began = call.Began; call.began.IsZero() {
		call.began = now
	}
	call.due = call.began.Add(timeout)
	if call.wake == nil {
		call.wake = make(chan token, 1)
	}
	call.Rep = proto.Reply{}
	call.Value, call.Items = nil, call.Items[:0]
	call.place, call.hit = 0, false
	call.state, call.err, call.quit = started, nil, nil
}

// finish makes the call done and tells whether its owner has to be woken.
// The caller holds mu.
func (call *Call) finish() (wake bool) {
	wake = call.state == waiting
	call.state = done
	if call.watched {
		call.watched = false
		call.gen.Add(1)
	}
	return wake
}

// rouse sends a token to the owner of a call that was waiting, if there is one:
// it has become appointed, or heir, or has to leave.
func (call *Call) rouse() {
	if call != nil {
		call.wake <- lookAgain
	}
}

// fifo is the queue of calls in the order of their bytes. Positions count up
// for ever; a position's slot is its remainder.
type fifo struct {
	slots      [MaxInFlight]*Call
	head, tail atomic.Uint64
}

func (q *fifo) first() uint64       { return q.head.Load() }
func (q *fifo) end() uint64         { return q.tail.Load() }
func (q *fifo) len() int            { return int(q.tail.Load() - q.head.Load()) }
func (q *fifo) at(pos uint64) *Call { return q.slots[pos%MaxInFlight] }

// push and pop are called under the connection's mu.
func (q *fifo) push(call *Call) (pos uint64) {
	pos = q.tail.Load()
	q.slots[pos%MaxInFlight] = call
	q.tail.Store(pos + 1)
	return pos
}

// pop removes the first n calls and appends them to dst.
func (q *fifo) pop(n int, dst []*Call) []*Call {
	pos := q.head.Load()
	for i := range n {
		slot := &q.slots[(pos+uint64(i))%MaxInFlight]
		dst, *slot = append(dst, *slot), nil
	}
	q.head.Store(pos + uint64(n))
	return dst
}

// clear forgets the calls but leaves the slots alone: a reader may still look
// at them, to find out only later that the connection is dead.
func (q *fifo) clear() { q.head.Store(q.tail.Load()) }

// firstWaiting returns the first call whose owner sleeps, or nil.
func (q *fifo) firstWaiting() *Call {
	for pos := q.first(); pos != q.end(); pos++ {
		if call := q.at(pos); call.state == waiting {
			return call
		}
	}
	return nil
}

// hasTombstone tells whether the reply at the head is nobody's.
func (q *fifo) hasTombstone() bool {
	return q.len() > 0 && q.at(q.first()).state == abandoned
}

// outcome is how a call that is done has ended. If well, the value is where the
// owner wants it.
func (call *Call) outcome() error {
	if call.err != nil {
		return call.err
	}
	call.useBuf()
	return nil
}

// useBuf moves the value into the memory that stands ready for it. Somebody
// else than the owner may have read it, who must not write there.
func (call *Call) useBuf() {
	v := call.Value
	if v == nil || call.Buf == nil || len(v) > cap(call.Buf) || len(v) > 0 && &v[0] == &call.Buf[:1][0] {
		return
	}
	call.Value = append(call.Buf[:0], v...)
}
