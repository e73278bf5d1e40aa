package memnet

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is one end of a connection. Its methods may be called by several
// goroutines; errors are those of TCP connections: io.EOF, net.ErrClosed,
// os.ErrDeadlineExceeded, ECONNRESET and EPIPE, all but io.EOF in a
// *net.OpError.
type Conn struct {
	local, remote Addr
	in, out       *stream
	abort         atomic.Bool // Close resets
}

func pair(client, server Addr) (c, s *Conn) {
	there, back := newStream(), newStream()
	return &Conn{local: client, remote: server, in: back, out: there},
		&Conn{local: server, remote: client, in: there, out: back}
}

// Read reads what has arrived, or waits for it.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write returns when all of p is in the buffer between the two ends.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

// Close closes both directions. What was written still arrives, unless bytes
// that came in were never read, or SetLinger(0) was called: then the other end
// is reset.
func (c *Conn) Close() error {
	unread, ok := c.in.closeRead(syscall.EPIPE)
	if !ok {
		return c.wrap("close", net.ErrClosed)
	}
	if unread || c.abort.Load() {
		c.in.reset()
		c.out.reset() // before the other end can see an orderly end
	}
	c.out.closeWrite(net.ErrClosed)
	return nil
}

// CloseWrite ends what the other end reads; this end may still read.
func (c *Conn) CloseWrite() error {
	if !c.out.closeWrite(syscall.EPIPE) {
		return c.wrap("close", net.ErrClosed)
	}
	return nil
}

// SetLinger with 0 makes Close reset the connection, as on a *net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	c.abort.Store(sec == 0)
	return nil
}

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline ends calls of Read, also those that wait already, at t; the
// zero time is no deadline.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.setDeadline(&c.in.reader, t))
}

// SetWriteDeadline is the same for Write.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.setDeadline(&c.out.writer, t))
}
