package memcachetest

import (
	"context"
	"net"

	"github.com/seed99545744/msm/internal/memnet"
)

// Network is a network in memory. Servers that are started on one with
// Config.Network are reached by their address through DialContext, and by
// nobody else: no sockets, no ports, and connections that a testing/synctest
// bubble sees through, so that its clock moves while clients wait for a server
// that does not answer. A Network used in a bubble must be made in it.
//
// The zero Network is empty and ready. It may be used by several goroutines,
// and must not be copied.
type Network struct{ net memnet.Network }

// DialContext connects to the server at addr; it fits
// memcache.Config.DialContext. Where no server listens, the connection is
// refused.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return n.net.DialContext(ctx, network, addr)
}

func (n *Network) listen(addr string) (net.Listener, error) { return n.net.Listen(addr) }

// NewMemServer starts a server without sockets, on a Network of its own: put its
// DialContext into memcache.Config.DialContext. For several nodes of one client
// start servers with New on one Network. The caller must call Close.
func NewMemServer() *Server {
	s, _ := New(Config{Network: new(Network)}) // cannot fail: a new network has all names free
	return s
}
