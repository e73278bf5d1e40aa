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

// Call is a request and its answer, and Item one hit of a multi-get.
type (
	Call = mux.Call
	Item = mux.Item
)

// Errors of operations. Nothing was sent.
var (
	ErrDown   = errors.New("memcache: node is down")
	ErrClosed = errors.New("memcache: client is closed")

	// ErrYounger says that every connection is younger than the Origin of the
	// CAS in the request: the server may have started anew since.
	ErrYounger = errors.New("memcache: CAS is older than the connection")
)

// ErrAuth says that the server wants credentials, or refused those it got.
var ErrAuth = errors.New("memcache: authentication refused")

// crowd is how many calls are in flight on a connection before the next one is
// used, and dialled. Below it a second connection costs more than it brings:
// fewer requests share a system call.
const crowd = 64

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
	dials  atomic.Uint32 // connections made
	down   atomic.Pointer[outage]
	closed atomic.Bool
	counts counters
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

// Flight is a started call.
type Flight struct {
	Call   *Call
	Origin Origin // of a CAS in the answer

	conn     *conn
	newest   uint32    // the highest number of a connection that may carry it
	deadline time.Time // set if it had to wait for a connection
}

// Start sends the request of call without waiting for the answer. It may wait
// for a connection, for Timeout at most. Origin is that of the CAS in the
// request. After nil the Flight must be given to Wait; after an error the call
// is the caller's.
func (n *Node) Start(ctx context.Context, call *Call, origin Origin) (Flight, error) {
	f := Flight{Call: call, newest: anyAge}
	if err := n.codec.Check(&call.Req); err != nil {
		n.counts.invalid.Add(1)
		return f, err
	}
	err := n.start(ctx, &f, origin)
	if err != nil {
		n.counts.failed(err)
	}
	return f, err
}

func (n *Node) start(ctx context.Context, f *Flight, origin Origin) error {
	if err := n.refusal(); err != nil {
		return err
	}
	if origin != (Origin{}) {
		if origin.node != n.cfg.Number {
			return ErrYounger
		}
		f.newest = origin.dials
	}
	if f.conn = n.pick(f.newest); f.conn == nil {
		if err := n.connect(ctx, f); err != nil {
			return err
		}
	}
	err := n.startOn(ctx, f)
	if err == nil || f.conn.Err() == nil {
		return err
	}
	if err := n.connect(ctx, f); err != nil {
		return err
	}
	return n.startOn(ctx, f)
}

// startOn starts the call of f on its connection.
func (n *Node) startOn(ctx context.Context, f *Flight) error {
	if f.conn.lacks {
		if err := f.conn.codec.Check(&f.Call.Req); err != nil {
			return err
		}
	}
	f.Call.Req.Fence = f.conn.fence
	// Looked up before the request leaves: a connection made between the
	// server's answer and a later look may be to the server's successor.
	f.Origin = Origin{n.cfg.Number, n.dials.Load()}
	err := f.conn.Start(ctx, f.Call)
	if err != nil {
		n.lost(f.conn)
		return n.plain(err)
	}
	return nil
}

// Wait waits for the answer to a started call. The call in the Flight that it
// returns holds it and is the caller's; it is another one than was started if
// the request was repeated. After an error there is none.
//
// A request is repeated once, over a connection made since, if it was not sent
// or only reads, and its failure was no timeout.
func (n *Node) Wait(ctx context.Context, f Flight) (Flight, error) {
	err := n.wait(ctx, &f)
	if err != nil && n.repeatable(f.Call.Req.Op, err) {
		// The connection may still hold the first call.
		f.Call = &Call{Req: f.Call.Req, Buf: f.Call.Buf}
		if err = n.connect(ctx, &f); err == nil {
			err = n.startOn(ctx, &f)
		}
		if err == nil {
			err = n.wait(ctx, &f)
		}
	}
	if err != nil {
		err = n.plain(err)
		n.counts.failed(err)
		return Flight{}, err
	}
	n.counts.answered(f.Call)
	return f, nil
}

// Do is Start and Wait.
func (n *Node) Do(ctx context.Context, call *Call, origin Origin) (Flight, error) {
	f, err := n.Start(ctx, call, origin)
	if err != nil {
		return f, err
	}
	return n.Wait(ctx, f)
}

func (n *Node) wait(ctx context.Context, f *Flight) error {
	if !f.deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, f.deadline)
		defer cancel()
	}
	err := f.conn.Wait(ctx, f.Call)
	if err != nil {
		n.lost(f.conn)
	}
	return err
}

// repeatable tells whether a request that failed with err may be sent again.
func (n *Node) repeatable(op proto.Op, err error) bool {
	var failure *mux.Error
	if !errors.As(err, &failure) || isTimeout(err) || errors.Is(err, proto.ErrProtocol) || n.closed.Load() {
		return false
	}
	return !failure.Sent || op == proto.OpGet || op == proto.OpGetMulti
}

// plain is err without what only this package needs to know; ErrClosed if that
// is what lies behind it.
func (n *Node) plain(err error) error {
	var failure *mux.Error
	if errors.As(err, &failure) {
		err = failure.Err
	}
	if n.closed.Load() && !isTimeout(err) {
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
		c.Close(ErrClosed)
	}
}
