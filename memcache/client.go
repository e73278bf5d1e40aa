package memcache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
	"github.com/seed99545744/msm/ring"
)

// Client is a client for the nodes of one ring, safe for concurrent use. Make
// it with New, once, and share it: its connections serve all callers.
type Client struct {
	core *core
	view bool
	only string // view: the node's id
}

// core is what a Client shares with its views.
type core struct {
	cfg      Config    // immutable
	calls    sync.Pool // of *node.Call
	topology atomic.Pointer[topology]

	mu       sync.Mutex // guards the following, and changes of topology
	closed   bool
	number   uint32         // of the last node made
	draining sync.WaitGroup // calls of SetRing that close nodes; they begin before closed
}

// topology is a ring with its nodes. It never changes.
type topology struct {
	ring  *ring.Ring
	nodes map[string]*node.Node // by id
	sole  *node.Node            // the only node, if there is only one
	views map[string]*Client
}

// New returns a Client for cfg. It does no I/O: the servers may be down. The
// error names every problem of cfg.
func New(cfg Config) (*Client, error) {
	if err := cfg.normalise(); err != nil {
		return nil, err
	}
	// Nodes of two Clients had better not look the same to an Item.
	co := &core{cfg: cfg, number: rand.Uint32()}
	co.calls.New = func() any { return new(node.Call) }
	co.mu.Lock()
	defer co.mu.Unlock()
	co.build(cfg.Ring)
	return &Client{core: co}, nil
}

// build puts the topology of r in force and returns the nodes that are not part
// of it any more. Nodes that keep id and address stay. The caller holds mu.
func (co *core) build(r *ring.Ring) (left []*node.Node) {
	old := co.topology.Load()
	if old == nil {
		old = &topology{}
	}
	fresh := &topology{ring: r, nodes: make(map[string]*node.Node), views: make(map[string]*Client)}
	for _, rn := range r.Nodes() {
		n := old.nodes[rn.ID]
		if n == nil || n.Addr() != rn.Addr {
			co.number = max(co.number+1, 1) // 0 is no number
			n = node.New(co.cfg.node(rn, co.number))
		}
		fresh.nodes[rn.ID], fresh.sole = n, n
		fresh.views[rn.ID] = &Client{core: co, view: true, only: rn.ID}
	}
	if len(fresh.nodes) > 1 {
		fresh.sole = nil
	}
	for id, n := range old.nodes {
		if fresh.nodes[id] != n {
			left = append(left, n)
		}
	}
	co.topology.Store(fresh)
	return left
}

// Close ends the Client and all its views. New operations fail with ErrClosed,
// those under way may end within Timeout. It returns when every connection is
// closed, and may be called again. The error is always nil.
func (c *Client) Close() error {
	c.core.mu.Lock()
	c.core.closed = true
	nodes := c.core.topology.Load().nodes
	c.core.mu.Unlock()
	var left []*node.Node
	for _, n := range nodes {
		left = append(left, n)
	}
	drain(left)
	c.core.draining.Wait()
	return nil
}

// drain closes nodes, all at the same time.
func drain(nodes []*node.Node) {
	inParallel(len(nodes), func(i int) { nodes[i].Close() })
}

// On returns a view of the Client whose every operation, those over many keys
// or nodes too, goes to the node with that id, as long as there is one: without
// it each returns ErrNoNodes. A view never fails over. Ring, SetRing and Close
// are those of the Client.
func (c *Client) On(nodeID string) *Client {
	if view := c.core.topology.Load().views[nodeID]; view != nil {
		return view
	}
	return &Client{core: c.core, view: true, only: nodeID}
}

// Ring returns the topology in force.
func (c *Client) Ring() *ring.Ring { return c.core.topology.Load().ring }

// TLS tells whether Config.TLS secures the connections.
func (c *Client) TLS() bool { return c.core.cfg.TLS != nil }

// SetRing puts another topology in force while operations run. Nodes that keep
// id and address keep their connections. It returns when the operations at the
// nodes that left are over, after Timeout at most. A nil ring is refused, a
// closed Client answers ErrClosed.
func (c *Client) SetRing(r *ring.Ring) error {
	if r == nil {
		return errors.New("memcache: SetRing needs a ring; ring.New makes one")
	}
	c.core.mu.Lock()
	if c.core.closed {
		c.core.mu.Unlock()
		return ErrClosed
	}
	c.core.draining.Add(1)
	defer c.core.draining.Done()
	left := c.core.build(r)
	c.core.mu.Unlock()
	drain(left)
	return nil
}

// call returns an empty call for a request.
func (co *core) call(op proto.Op, key string) *node.Call {
	call := co.calls.Get().(*node.Call)
	call.Req.Op, call.Req.Key = op, key
	return call
}

// again returns a call for the request of another, which a connection may still
// hold.
func (co *core) again(call *node.Call, origin node.Origin) *node.Call {
	fresh := co.call(call.Req.Op, call.Req.Key)
	fresh.Req, fresh.Buf, fresh.Began, fresh.Origin = call.Req, call.Buf, call.Began, origin
	return fresh
}

// free takes back a call that was answered.
func (co *core) free(call *node.Call) {
	call.Req, call.Buf, call.Value, call.Origin = proto.Request{}, nil, nil, node.Origin{}
	call.Began, call.More = time.Time{}, false
	clear(call.Items) // its length is bounded by maxChunk
	co.calls.Put(call)
}

// locate returns the node for key, nil if there is none.
func (c *Client) locate(t *topology, key string) *node.Node {
	if c.view || t.sole != nil {
		return c.ofAllKeys(t)
	}
	n := t.nodes[t.ring.Locate(key).ID]
	if c.core.cfg.Failover == NextNode && n != nil && !n.Up() {
		for rn := range t.ring.Walk(key) {
			if next := t.nodes[rn.ID]; next.Up() {
				return next
			}
		}
	}
	return n
}

// ofAllKeys returns the node that answers for all keys, nil if there are several,
// or none.
func (c *Client) ofAllKeys(t *topology) *node.Node {
	if c.view {
		return t.nodes[c.only]
	}
	return t.sole
}

// do sends a request to the node of its key and waits for the answer. After nil
// the caller must free the call that it returns. Op is the method's name.
//
// Crowds sleep below it. A processor that comes back to a goroutine cannot foresee
// where its functions return to: each that lies between a caller and its sleep
// costs up to 4 % of a get, so there are as few as possible.
func (c *Client) do(ctx context.Context, op string, call *node.Call) (*node.Call, error) {
	for try := 0; ; try++ {
		t := c.core.topology.Load()
		n := c.locate(t, call.Req.Key)
		if n == nil {
			return nil, ErrNoNodes
		}
		origin := call.Origin // Start puts another in its place
		var answered *node.Call
		var err error
		if c.core.cfg.Observe == nil { // send, without its frame
			answered, err = n.Do(ctx, call)
			if err != nil || answered.Rep.Status != proto.StatusOK {
				answered, err = c.core.failed(op, n, answered, err)
			}
		} else {
			answered, err = c.send(ctx, op, n, call)
		}
		if err == nil || !c.elsewhere(t, err, try) {
			return answered, err
		}
		call = c.core.again(call, origin)
	}
}

// elsewhere tells whether an operation that failed with err, not sent, may find
// a node that takes it: another, while a node is down, or that of a topology
// that has come into force meanwhile.
func (c *Client) elsewhere(t *topology, err error, try int) bool {
	switch {
	case errors.Is(err, ErrClosed):
		return c.core.topology.Load() != t
	case c.view || c.core.cfg.Failover != NextNode || try >= len(t.nodes):
		return false
	}
	return errors.Is(err, ErrNodeDown)
}

// send sends a request to n and waits for the answer.
func (c *Client) send(ctx context.Context, op string, n *node.Node, call *node.Call) (*node.Call, error) {
	observed, code, begin := c.core.cfg.Observe != nil, call.Req.Op, time.Time{}
	if observed {
		begin = time.Now()
	}
	call, err := n.Do(ctx, call)
	if err != nil || call.Rep.Status != proto.StatusOK {
		call, err = c.core.failed(op, n, call, err)
	}
	if observed {
		c.observe(ctx, op, n, code, begin, err)
	}
	return call, err
}

// failed gives the end of an operation that has failed, with err or by the answer
// of the server, its public form.
func (co *core) failed(op string, n *node.Node, call *node.Call, err error) (*node.Call, error) {
	if err != nil {
		return nil, failure(op, n, err)
	}
	err = refusal(op, n, call)
	co.free(call)
	return nil, err
}

// failure gives an operation's error its public form.
func failure(op string, n *node.Node, err error) error {
	switch {
	case errors.Is(err, node.ErrYounger):
		return ErrCASConflict
	case err == ErrKey, err == ErrUnsupported, err == ErrClosed:
		return err
	}
	return &OpError{Op: op, Node: n.ID(), Err: err}
}

// refusal gives the status of an answer its public form; nil if all is well.
func refusal(op string, n *node.Node, call *node.Call) error {
	var err error
	switch rep := &call.Rep; rep.Status {
	case proto.StatusOK:
		return nil
	case proto.StatusMiss:
		if call.Req.Op == proto.OpReplace || call.Req.Op == proto.OpAppend || call.Req.Op == proto.OpPrepend {
			return ErrNotStored
		}
		return ErrMiss
	case proto.StatusNotStored:
		return ErrNotStored
	case proto.StatusExists:
		if call.Req.Op == proto.OpAdd {
			return ErrNotStored
		}
		return ErrCASConflict
	case proto.StatusNotNumber:
		return ErrNotNumber
	case proto.StatusTooLarge:
		err = ErrTooLarge
	case proto.StatusAuth:
		err = fmt.Errorf("%w: the server says %q", ErrAuth, rep.Line)
	default:
		err = &ServerError{rep.Line}
	}
	return &OpError{Op: op, Node: n.ID(), Err: err}
}
