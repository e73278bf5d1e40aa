// Package memnet is a network in memory: listeners, and connections that behave
// as TCP connections do, with buffers, deadlines, half-close and reset, but
// without sockets. Whoever waits in it waits on a sync.Cond, so that a
// testing/synctest bubble can tell that nothing more happens and move its clock;
// net.Pipe would do as much, but has no buffers: there a writer waits for the
// reader, and no pipelining client is written for that.
package memnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// backlog bounds the connections that wait to be accepted, like listen(2).
const backlog = 4096

// Addr is an address on a Network.
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

func (a Addr) String() string { return string(a) }

// Network is a set of listeners by address. The zero Network is empty and
// ready; it may be used by several goroutines and must not be copied.
type Network struct {
	mu        sync.Mutex // guards what follows; before Listener.mu
	listeners map[string]*Listener
	names     int // given to listeners without an address
	dialed    int
}

// Listen opens a listener at addr, which may be any text that is not in use; ""
// and ":0" stand for a new one of the form "mem1:11211".
func (n *Network) Listen(addr string) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for addr == "" || addr == ":0" {
		n.names++
		if name := fmt.Sprintf("mem%d:11211", n.names); n.listeners[name] == nil {
			addr = name
		}
	}
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "mem", Addr: Addr(addr), Err: syscall.EADDRINUSE}
	}
	l := &Listener{network: n, addr: Addr(addr)}
	l.changed.L = &l.mu
	if n.listeners == nil {
		n.listeners = make(map[string]*Listener)
	}
	n.listeners[addr] = l
	return l, nil
}

// DialContext connects to the listener at addr; the connection is there before
// it is accepted, as with TCP. Without a listener, or with 4,096 connections
// that it has not accepted yet, the error is ECONNREFUSED.
func (n *Network) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: Addr(addr), Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[addr]
	if l == nil {
		return fail(syscall.ECONNREFUSED)
	}
	n.dialed++
	client, server := pair(Addr(fmt.Sprintf("client%d", n.dialed)), Addr(addr))
	if !l.offer(server) {
		return fail(syscall.ECONNREFUSED)
	}
	return client, nil
}

// Listener is a net.Listener on a Network.
type Listener struct {
	network *Network
	addr    Addr

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	waiting []*Conn
	closed  bool
}

func (l *Listener) offer(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == backlog {
		return false
	}
	l.waiting = append(l.waiting, c)
	l.changed.Signal()
	return true
}

// Accept waits for the next connection. After Close the error is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && len(l.waiting) == 0 {
		l.changed.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	}
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	return c, nil
}

// Close closes the listener and resets the connections that wait.
func (l *Listener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	}
	l.closed = true
	delete(l.network.listeners, string(l.addr))
	for _, c := range l.waiting {
		c.SetLinger(0)
		c.Close()
	}
	l.waiting = nil
	l.changed.Broadcast()
	return nil
}

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.addr }
