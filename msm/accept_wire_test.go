package msm

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/seed99545744/msm/memcache"
)

// wire is one instance's way to the nodes, with a client of its own.
type wire struct {
	// Immutable.
	ns     *nodes
	client *memcache.Client // for Config.Client

	mu      sync.Mutex      // guards what follows
	dialled []string        // node ids, or addresses of others
	cut     map[string]bool // node ids that cannot be reached
	writes  int             // that the wire lets through from now on; negative: any number
	conns   map[net.Conn]string
}

var errCut = errors.New("the wire is cut")

// newWire returns a way to the nodes, over TCP or within a bubble. What cfg says
// of nodes is ignored.
func newWire(t *testing.T, ns *nodes, cfg memcache.Config) *wire {
	t.Helper()
	w := &wire{ns: ns, cut: make(map[string]bool), writes: -1, conns: make(map[net.Conn]string)}
	cfg.Nodes, cfg.DialContext = ns.config().MemcachedNodes, w.dial
	if cfg.Timeout == 0 {
		cfg.Timeout, cfg.DialTimeout = ns.config().OperationTimeout, ns.config().OperationTimeout
	}
	client, err := memcache.New(cfg)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	w.client = client
	return w
}

// config is a Config for this wire's instance.
func (w *wire) config() Config {
	return Config{Client: w.client, OperationTimeout: w.ns.config().OperationTimeout}
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	id, dial := addr, new(net.Dialer).DialContext
	for i, s := range w.ns.servers {
		if s.Addr() == addr {
			id, dial = nodeID(i), s.DialContext
		}
	}
	w.mu.Lock()
	w.dialled = append(w.dialled, id)
	refused := w.cut[id]
	w.mu.Unlock()
	if refused {
		return nil, errCut
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn = &wiredConn{conn, w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[conn] = id
	return conn, nil
}

// separate cuts the instance off these nodes, and from no other.
func (w *wire) separate(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
	for _, id := range ids {
		w.cut[id] = true
	}
	for conn, id := range w.conns {
		if w.cut[id] {
			conn.Close()
			delete(w.conns, conn)
		}
	}
}

// allow lets n more writes through, then none; negative: any number.
func (w *wire) allow(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = n
}

// dials returns the ids of the nodes to which connections were tried, once for
// each, and forgets them.
func (w *wire) dials() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	dialled := w.dialled
	w.dialled = nil
	return dialled
}

// wiredConn is a connection of a wire.
type wiredConn struct {
	net.Conn
	wire *wire
}

func (c *wiredConn) Write(p []byte) (int, error) {
	c.wire.mu.Lock()
	ok := c.wire.writes != 0
	if c.wire.writes > 0 {
		c.wire.writes--
	}
	c.wire.mu.Unlock()
	if !ok {
		c.Conn.Close()
		return 0, errCut
	}
	return c.Conn.Write(p)
}
