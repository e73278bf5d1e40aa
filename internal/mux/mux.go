// Package mux shares one connection among many callers, who drive it
// themselves: no goroutine stands behind an idle connection.
package mux

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/seed99545744/msm/internal/proto"
)

// Call is one request on its way and what came back for it. Its owner fills
// Req (and Buf), gives it to Start and Wait, and reads the rest after Wait
// returned nil. A Call that Wait left early belongs to the connection for good.
type Call struct {
	Req   proto.Request
	Rep   proto.Reply
	Buf   []byte // in: where the value goes if it fits; may be nil
	Value []byte // out: the value of a get
	Items []Item // out: what OpGetMulti found, in the order of Keys
}

// Item is one hit of OpGetMulti.
type Item struct {
	Index int // into Req.Keys
	Flags uint32
	CAS   uint64
	Value []byte
}

// Config is what a connection needs to know.
type Config struct {
	Codec   proto.Codec
	Timeout time.Duration // bound of a call whose ctx has no earlier one, and of a connection without progress
}

// Error says why a call came to nothing.
type Error struct {
	Err  error
	Sent bool // some of the request may have reached the server
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Conn is one connection, safe for concurrent use.
type Conn struct {
	nc  net.Conn
	cfg Config

	mu  sync.Mutex
	err error
	buf []byte
}

// New makes nc a shared connection. Close closes nc.
func New(nc net.Conn, cfg Config) *Conn { return &Conn{nc: nc, cfg: cfg} }

// Start sends the request. The call must be waited for if Start returned nil.
func (c *Conn) Start(ctx context.Context, call *Call) error { return nil }

// Wait waits until the reply to a started call is complete.
func (c *Conn) Wait(ctx context.Context, call *Call) error { return c.roundTrip(call) }

// Do is Start and Wait.
func (c *Conn) Do(ctx context.Context, call *Call) error {
	if err := c.Start(ctx, call); err != nil {
		return err
	}
	return c.Wait(ctx, call)
}

// Err returns why the connection is dead, or nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// InFlight returns the number of calls that have no answer yet.
func (c *Conn) InFlight() int { return 0 }

// Close ends the connection; calls in flight fail with err.
func (c *Conn) Close(err error) {
	c.nc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// roundTrip is the placeholder of the shared connection: one call at a time.
func (c *Conn) roundTrip(call *Call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return &Error{Err: c.err}
	}
	if err := c.exchange(call); err != nil {
		c.err = err
		c.nc.Close()
		return &Error{Err: err, Sent: true}
	}
	return nil
}

func (c *Conn) exchange(call *Call) error {
	call.Rep, call.Value, call.Items = proto.Reply{}, nil, nil
	call.Req.Opaque = 1
	c.nc.SetDeadline(time.Now().Add(c.cfg.Timeout))
	out := c.cfg.Codec.AppendRequest(nil, &call.Req)
	if call.Req.HasValue() {
		out = append(append(out, call.Req.Value...), c.cfg.Codec.Tail()...)
	}
	if _, err := c.nc.Write(out); err != nil {
		return err
	}
	for {
		n, step, err := c.cfg.Codec.Parse(c.buf, &call.Req, &call.Rep)
		if err != nil {
			return err
		}
		c.buf = c.buf[n:]
		switch step {
		case proto.StepDone:
			if len(c.buf) > 0 {
				return fmt.Errorf("%w: bytes that nobody asked for", proto.ErrProtocol)
			}
			return nil
		case proto.StepValue:
			for len(c.buf) < call.Rep.Size {
				if err := c.fill(); err != nil {
					return err
				}
			}
			value := append(call.Buf[:0], c.buf[:call.Rep.Size]...)
			c.buf = c.buf[call.Rep.Size:]
			if call.Req.Op == proto.OpGetMulti {
				call.Items = append(call.Items, Item{call.Rep.Index, call.Rep.Flags, call.Rep.CAS, value})
			} else {
				call.Value = value
			}
		case proto.StepMore:
			if err := c.fill(); err != nil {
				return err
			}
		}
	}
}

func (c *Conn) fill() error {
	var b [4096]byte
	n, err := c.nc.Read(b[:])
	c.buf = append(c.buf, b[:n]...)
	return err
}
