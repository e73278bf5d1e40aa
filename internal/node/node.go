// Package node is one memcached server as its client sees it: a few shared
// connections, dialled when they are needed, and whether the server is up.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/internal/mux"
	"github.com/seed99545744/msm/internal/proto"
)

// Call is a request and its answer.
type Call struct {
	mux.Call

	// Origin is that of the CAS in the request, before Start, and of that in the
	// answer, after Wait.
	Origin Origin

	conn   *conn
	beside *Call  // the call whose connection it takes; nil: any
	newest uint32 // the highest number of a connection that may carry it
}

// Errors of operations. Nothing was sent.
var (
	ErrDown   = errors.New("memcache: node is down")
	ErrClosed = errors.New("memcache: client is closed")

	// ErrYounger says that every connection is younger than the Origin of the
	// CAS in the request: the server may have started anew since.
	ErrYounger = errors.New("memcache: CAS is older than the connection")
)

// errCut is the error of calls that Close has not waited for any longer.
var errCut = errors.New("memcache: closed before the answer came")

// ErrAuth says that the server wants credentials, or refused those it got.
var ErrAuth = errors.New("memcache: authentication refused")

// crowd is how many calls are in flight on a connection before the next one is
// used, and dialled. Below it a second connection costs more than it brings:
// fewer requests share a system call. Above it callers on two processors get in
// each other's way on one: at 64, with 32 instead of 64, a get costs 20 % less
// and a set, whose system calls cost the server more, up to 10 % more.
const crowd = 32

// large is the size of a value from which on it travels over the last
// connection, lest small ones stand behind it. Beside values of 256 KiB that are
// stored, gets of 100 bytes gain: they are 1.4 to 1.6 times as many. The large
// ones lose 10 to 30 % for it.
const large = 64 << 10

// anyAge is what connection numbers are compared with for requests without an
// Origin.
const anyAge = ^uint32(0)

// Protocol is what is spoken to a server.
type Protocol uint8

// The protocols. Text asks every new connection's server for its version.
const (
	Text Protocol = iota
	Classic
	Meta
	Binary
)

// Config describes a server. All fields but Username, Password, TLS and Logger
// are required.
type Config struct {
	ID, Addr           string // Addr: "host:port", or the path of a UNIX socket
	Number             uint32 // tells this Node from all others in an Origin; not 0
	Protocol           Protocol
	Conns              int           // connections at most
	Timeout            time.Duration // of a call, and of a connection without progress
	DialTimeout        time.Duration // to connect, shake hands and log in
	MaxValue           int           // a longer value in a reply is a protocol violation
	Username, Password string
	TLS                *tls.Config
	DialContext        func(ctx context.Context, network, addr string) (net.Conn, error)
	Logger             *slog.Logger // told when the node goes down and comes up; nil: nobody is
}

// Origin says when a CAS was read: from which node, and how many connections
// had been made to it by then. CAS counters start anew with the server, so that
// a number read from a server that died may by chance be that of another
// version of the item. A connection made before the read, and alive when the
// CAS is used, vouches for the server. The zero Origin is unknown.
type Origin struct{ node, dials uint32 }

// Node is one server, safe for concurrent use.
type Node struct {
	// Immutable.
	cfg   Config
	codec proto.Codec // requests are checked against it before a connection is sought
	slots []slot
	gone  chan struct{} // closed when Close is done

	// Atomic.
	dials   atomic.Uint32 // connections made
	down    atomic.Pointer[outage]
	closed  atomic.Bool
	counts  counters
	answers mux.Tally // of all connections
}

// New returns the Node that cfg describes. It does no I/O.
func New(cfg Config) *Node {
	return &Node{
		cfg:   cfg,
		codec: cfg.codec(),
		slots: make([]slot, cfg.Conns),
		gone:  make(chan struct{}),
	}
}

// ID returns the node's name.
func (n *Node) ID() string { return n.cfg.ID }

// Addr returns the node's address.
func (n *Node) Addr() string { return n.cfg.Addr }

// Start sends the request of call without waiting for the answer. It may wait
// for a connection, for Timeout at most. After nil the call must be given to
// Wait; after an error it is the caller's.
func (n *Node) Start(ctx context.Context, call *Call) error {
	if err := n.check(call); err != nil {
		return err
	}
	err := n.ready(ctx, call)
	if err == nil {
		if err = call.conn.Start(ctx, &call.Call); err != nil {
			err = n.restart(ctx, call, err)
		}
	}
	if err != nil {
		n.counts.failed(err)
	}
	return err
}

// check refuses a request that must not reach a server.
func (n *Node) check(call *Call) error {
	err := n.codec.Check(&call.Req)
	if err != nil {
		n.counts.invalid.Add(1)
	}
	return err
}

// ready finds a connection for call and makes it fit for that.
func (n *Node) ready(ctx context.Context, call *Call) error {
	if err := n.refusal(); err != nil {
		return err
	}
	call.newest = anyAge
	if call.Origin != (Origin{}) {
		if call.Origin.node != n.cfg.Number {
			return ErrYounger
		}
		call.newest = call.Origin.dials
	}
	if call.beside != nil {
		call.conn, call.beside = call.beside.conn, nil
	} else if call.conn = n.pick(call.newest, call.large()); call.conn == nil {
		if err := n.connect(ctx, call); err != nil {
			return err
		}
	}
	return n.fit(call)
}

// StartAll starts calls in order, the small ones over one connection and with as
// few writes as their sizes permit. It returns how many it has started: all, or those before
// the one that failed with err.
func (n *Node) StartAll(ctx context.Context, calls []*Call) (started int, err error) {
	var small *Call // the last one that was
	for i, call := range calls {
		if !call.large() {
			call.beside, small = small, call
		}
		call.More = i+1 < len(calls) && !calls[i+1].large()
		if err := n.Start(ctx, call); err != nil {
			call.beside = nil
			return i, err
		}
	}
	return len(calls), nil
}

// large tells whether the value is known to be large, or may be by the memory
// that stands ready for it.
func (call *Call) large() bool { return len(call.Req.Value) >= large || cap(call.Buf) >= large }

// fit makes call what its connection needs.
func (n *Node) fit(call *Call) error {
	c := call.conn
	if c.lacks {
		if err := c.codec.Check(&call.Req); err != nil {
			return err
		}
	}
	// Looked up before the request leaves: a connection made between the
	// server's answer and a later look may be to the server's successor.
	call.Origin = Origin{n.cfg.Number, n.dials.Load()}
	return nil
}

// restart goes on with a call that its connection has not taken: over another
// one, if that one is dead.
func (n *Node) restart(ctx context.Context, call *Call, err error) error {
	call.conn.drop()
	if call.conn.Err() == nil {
		return n.plain(err)
	}
	call.Began = call.Started()
	return n.startAnew(ctx, call)
}

// startAnew starts call over another connection than the one it has.
func (n *Node) startAnew(ctx context.Context, call *Call) error {
	if err := n.connect(ctx, call); err != nil {
		return err
	}
	if err := n.fit(call); err != nil {
		return err
	}
	if err := call.conn.Start(ctx, &call.Call); err != nil {
		call.conn.drop()
		return n.plain(err)
	}
	return nil
}

// Wait waits for the answer to a started call. It returns the call that holds
// it, which is the caller's; another one than was started if the request was
// repeated. After an error there is none, and the started one is lost.
//
// A request is repeated once, over a connection made since, if it was not sent
// or only reads, and its failure was no timeout.
func (n *Node) Wait(ctx context.Context, call *Call) (*Call, error) {
	return n.finish(ctx, call, call.conn.Wait(ctx, &call.Call))
}

// Do is Start and Wait.
func (n *Node) Do(ctx context.Context, call *Call) (*Call, error) {
	if err := n.check(call); err != nil {
		return nil, err
	}
	if err := n.ready(ctx, call); err != nil {
		n.counts.failed(err)
		return nil, err
	}
	err := call.conn.Do(ctx, &call.Call)
	if isUnused(err) {
		if err = n.restart(ctx, call, err); err != nil {
			n.counts.failed(err)
			return nil, err
		}
		err = call.conn.Wait(ctx, &call.Call)
	}
	return n.finish(ctx, call, err)
}

// finish is what is left to do when a call has been waited for, which ended
// with err.
func (n *Node) finish(ctx context.Context, call *Call, err error) (*Call, error) {
	if err != nil {
		n.blame(call.conn)
		if call, err = n.repeat(ctx, call, err); err != nil {
			err = n.plain(err)
			n.counts.failed(err)
			return nil, err
		}
	}
	return call, nil
}

// isUnused tells whether a connection has not taken the call that failed with err.
func isUnused(err error) bool {
	if err == nil {
		return false
	}
	var failure *mux.Error
	return errors.As(err, &failure) && failure.Unused
}

// repeat sends the request of a call that failed with err once more, if that is
// right, and waits for the answer. It does so with another call: the connection
// may still hold the first. Both together have no more time than one.
func (n *Node) repeat(ctx context.Context, call *Call, err error) (*Call, error) {
	if !n.repeatable(call.Req.Op, err) {
		return nil, err
	}
	call.Began = call.Started()
	again := &Call{
		Call: mux.Call{Req: call.Req, Buf: call.Buf, Began: call.Began},
		conn: call.conn, newest: call.newest,
	}
	if err := n.startAnew(ctx, again); err != nil {
		return nil, err
	}
	if err := again.conn.Wait(ctx, &again.Call); err != nil {
		n.blame(again.conn)
		return nil, err
	}
	if again.Req.Op == proto.OpGetAndTouch {
		again.Rep.TTL = proto.TTLUnknown // the first one may have touched the item
	}
	return again, nil
}

// repeatable tells whether a request that failed with err may be sent again.
func (n *Node) repeatable(op proto.Op, err error) bool {
	var failure *mux.Error
	if !errors.As(err, &failure) || isTimeout(err) || errors.Is(err, proto.ErrProtocol) || n.closed.Load() {
		return false
	}
	switch op {
	case proto.OpGet, proto.OpGetMulti, proto.OpGetAndTouch, proto.OpVersion:
		return true
	}
	return !failure.Sent
}

// plain is err without what only this package needs to know. It is ErrClosed if
// that is what lies behind it and nothing was sent: the caller may then try
// another node.
func (n *Node) plain(err error) error {
	var failure *mux.Error
	sent := errors.As(err, &failure) && failure.Sent
	if failure != nil {
		err = failure.Err
	}
	if n.closed.Load() && !sent && !isTimeout(err) {
		return ErrClosed
	}
	return err
}

// isTimeout tells whether err is that of a caller, or a connection, that waited
// in vain.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Close ends the node: new operations fail with ErrClosed, those under way may
// end within Timeout. It returns when all connections are closed, and may be
// called again.
func (n *Node) Close() {
	if n.closed.Swap(true) {
		<-n.gone
		return
	}
	defer close(n.gone)
	for i := range n.slots {
		n.slots[i].stop()
	}
	timer := time.NewTimer(n.cfg.Timeout)
	defer timer.Stop()
	for i := range n.slots {
		c := n.slots[i].conn.Load()
		if c == nil {
			continue
		}
		select {
		case <-c.Dead():
		case <-timer.C:
			timer.Reset(0) // for the others it is over, too
		}
		c.Close(errCut)
	}
}
