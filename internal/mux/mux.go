// Package mux shares one connection among many callers, who drive it
// themselves: no goroutine stands behind a connection.
//
// A caller appends its request to the bytes that wait to be written and queues
// its call behind those in flight. The first to find nobody flushing writes for
// all that have joined; the first to find nobody reading reads, hands every
// reply that has arrived to its owner, and passes the reader's role on when its
// own is done. Alone, a caller writes and reads in its own goroutine, as with a
// pool; in a crowd, one system call carries dozens of requests.
//
// Who gives up leaves a tombstone in the queue: the reply is read and dropped,
// and nobody else notices.
package mux

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/internal/proto"
)

// Limits of one connection.
const (
	// MaxInFlight bounds the calls that wait for a reply. Further callers wait
	// for room under their own ctx.
	MaxInFlight = 1024

	// maxPending bounds the bytes that wait to be written; beyond it callers
	// wait as for MaxInFlight.
	maxPending = 256 << 10

	// loneFlushes is how many writes in a row must have found one call in
	// flight for the next caller to believe that it is alone.
	loneFlushes = 8

	// copyMax is the largest value that is copied among the pending bytes. A
	// larger one goes out from its owner's memory, written by its owner.
	copyMax = 16 << 10

	// holdBytes is how much may wait for the calls that More announces.
	holdBytes = 16 << 10

	// quietBytes may be written while a caller cannot be interrupted: the
	// buffers of a fresh socket hold more, so such a write does not block.
	quietBytes = 32 << 10

	// A read buffer starts small and grows once when reads fill it.
	readBufMin, readBufMax = 16 << 10, 128 << 10

	// directMin is the smallest value that is read past the buffer, straight
	// to where it belongs.
	directMin = 16 << 10

	// maxReplies bounds the bytes of large values that may be on their way, judged
	// by the last one: more do not fit the processor's caches, and a value that has
	// left them costs twice as much to read. For values however large, minWindow
	// calls may be in flight.
	maxReplies, minWindow = 512 << 10, 4

	// staleAfter is how long a connection may have been idle before it is
	// looked at for a FIN, an RST or bytes that nobody asked for ahead of the
	// next request. Servers close idle connections without a word
	// (memcached -o idle_timeout).
	staleAfter = 100 * time.Millisecond

	// patience is how long a caller is held up before it sees to it that somebody
	// reads and writes. Shorter delays are those of an ordinary crowd.
	patience = time.Millisecond

	// maxOwed times Timeout is how long one reply may take to arrive by bits and
	// pieces. By then the callers of all that stand behind it have left.
	maxOwed = 5
)

// Errors of calls that were not answered in time. Both are
// context.DeadlineExceeded to errors.Is.
var (
	// ErrTimeout: this call was not answered within Config.Timeout.
	ErrTimeout error = timeoutError("memcache: no answer within the timeout")
	// ErrStalled: the connection owed replies and got not a byte for
	// Config.Timeout, or did not get one of them whole in five times that. It is
	// dead, and all its calls have failed.
	ErrStalled error = timeoutError("memcache: server does not answer")
)

type timeoutError string

func (e timeoutError) Error() string        { return string(e) }
func (e timeoutError) Timeout() bool        { return true }
func (e timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// lost is the error of calls whose connection broke.
func lost(cause error) error { return fmt.Errorf("memcache: connection lost: %w", cause) }

// errStray says that the server sent bytes while nothing was asked.
var errStray = fmt.Errorf("%w: bytes that nobody asked for", proto.ErrProtocol)

// Config is what a connection needs to know.
type Config struct {
	Codec   proto.Codec
	Timeout time.Duration // bound of a call whose ctx has no earlier one, and of a connection without progress; must be positive
	Tally   *Tally        // where answers are counted; nil: nowhere that could be seen
	Strict  bool          // replies are not told apart by themselves (classic): look for stray bytes before every request that finds the connection idle
}

// Error says why a call came to nothing.
type Error struct {
	Err    error
	Sent   bool // some of the request may have reached the server
	Unused bool // the call was never queued: it may be used again
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func unused(err error) error { return &Error{Err: err, Unused: true} }

// Conn is one connection, safe for concurrent use.
//
// Lock order: turn, then mu. Nothing that can block happens under mu.
type Conn struct {
	// Immutable.
	nc        net.Conn
	transport net.Conn // nc, or what lies under its TLS: closing it does not take leave of a server that does not listen
	sealed    bool     // nc is TLS
	codec     proto.Codec
	cfg       Config
	tail      []byte
	gatherer  gatherer      // nil unless the codec is one
	peek      peeker        // used by the holder of the turn
	socket    socket        // its fields say by whom
	dead      chan struct{} // closed when err is set
	room      chan struct{} // has a token for one of the callers that wait for room

	// turn has a token while nobody writes to nc. Who writes holds it, and out:
	// waiting for a token can be given up.
	turn chan struct{}
	out  output

	mu       sync.Mutex // guards the following, and the state of all calls
	err      error      // why the connection is dead
	closing  error      // set by CloseIdle: no new calls
	pending  []byte     // requests that joined and no writer has taken
	spare    []byte     // the last buffer written, for reuse
	owed     int        // request bytes taken by writers since the queue was last empty
	window   int        // how many calls may be in flight
	waiting  int        // callers that wait for room
	promised int        // callers that have room, and wait for the turn
	roles               // who reads and writes
	watchdog            // what nobody else does in time

	queue fifo          // pushed and popped under mu; the reader looks at taken entries without
	taken atomic.Uint64 // the first queue position whose bytes no writer has taken
	alone atomic.Int32  // how many writes in a row found one call in flight
	heard atomic.Int64  // when bytes came last, in nanoseconds since born
	born  time.Time

	in input // owned by the holder of the reader's role
}

// New makes nc a shared connection. Close closes nc.
func New(nc net.Conn, cfg Config) *Conn {
	c := &Conn{
		nc:     nc,
		codec:  cfg.Codec,
		cfg:    cfg,
		tail:   []byte(cfg.Codec.Tail()),
		dead:   make(chan struct{}),
		room:   make(chan struct{}, 1),
		turn:   make(chan struct{}, 1),
		born:   time.Now(),
		window: MaxInFlight,
		in:     input{buf: make([]byte, readBufMin)},
	}
	if c.cfg.Tally == nil {
		c.cfg.Tally = new(Tally)
	}
	c.turn <- struct{}{}
	c.transport = nc
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		c.transport, c.sealed = t.NetConn(), true
	}
	c.gatherer, _ = cfg.Codec.(gatherer)
	c.peek.init(c.transport)
	c.socket.init(nc)
	return c
}

// Do is Start and Wait, for one lock less.
func (c *Conn) Do(ctx context.Context, call *Call) error { return c.run(ctx, call, false) }

// Err returns why the connection is dead, or nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Dead is closed when the connection has died.
func (c *Conn) Dead() <-chan struct{} { return c.dead }

// InFlight returns the number of calls whose reply is still to come, those
// that were given up included.
func (c *Conn) InFlight() int { return c.queue.len() }

// CloseIdle closes the connection as soon as no call is in flight. Calls that
// come later fail with err at once, unsent.
func (c *Conn) CloseIdle(err error) {
	c.mu.Lock()
	c.closing = err
	idle := c.queue.len() == 0
	c.mu.Unlock()
	if idle {
		c.fail(err)
	}
}

// Close ends the connection. Calls in flight fail with err.
func (c *Conn) Close(err error) {
	c.fail(err)
	c.standIns.Wait()
}

// fail is the end of the connection. The first failure is the failure: every
// call in flight gets it, with whether its own bytes were sent.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	woken := c.failLocked(err)
	c.mu.Unlock()
	c.bury(woken)
}

// failLocked is fail up to what must not be done under mu, which bury does.
func (c *Conn) failLocked(err error) (woken []*Call) {
	if c.err != nil {
		return nil
	}
	c.err = err
	taken := c.taken.Load()
	for pos := c.queue.first(); pos != c.queue.end(); pos++ {
		call := c.queue.at(pos)
		if call.state == abandoned {
			continue
		}
		call.err = &Error{Err: err, Sent: pos < taken}
		if call.quit != nil {
			call.err = &Error{Err: call.quit, Sent: pos < taken}
		}
		if call.finish() {
			woken = append(woken, call)
		}
	}
	c.queue.clear()
	if c.alarm != nil {
		c.alarm.Stop()
	}
	close(c.dead)
	return woken
}

// bury closes the network connection of a connection that has failed, which
// ends a read or write in progress, and wakes the owners of failed calls.
func (c *Conn) bury(woken []*Call) {
	c.transport.Close()
	for _, call := range woken {
		call.wake <- answered
	}
}
