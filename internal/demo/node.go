package main

import (
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// node is one memcached: a server of this process, or somebody else's.
type node struct {
	// Immutable after the first start.
	id       string
	addr     string
	external bool // not ours to stop

	mu     sync.Mutex           // guards what follows
	server *memcachetest.Server // nil while stopped
}

var errExternal = errors.New("this node is a server of its own: stop and start it where it runs")

// start lets the node come back, empty, at the address it had.
func (n *node) start() error {
	if n.external {
		return errExternal
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.server != nil:
		return nil
	case n.addr == "":
		n.server = memcachetest.NewServer()
		n.addr = n.server.Addr()
		return nil
	}
	server, err := memcachetest.Start(n.addr)
	if err != nil {
		return err
	}
	n.server = server
	return nil
}

// stop ends the node as if its process were killed: what it held is gone.
func (n *node) stop() error {
	if n.external {
		return errExternal
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != nil {
		n.server.Close()
		n.server = nil
	}
	return nil
}

// up tells whether the node runs; a server that is not ours is asked.
func (n *node) up() bool {
	if n.external {
		return answers(n.addr)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server != nil
}

func answers(addr string) bool {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	nc, err := net.DialTimeout(network, addr, 200*time.Millisecond)
	if err != nil {
		return false
	}
	nc.Close()
	return true
}
