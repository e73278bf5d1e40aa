package ring

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Strategy says how keys are placed on nodes.
type Strategy uint8

const (
	// XXHash is the strategy to choose unless nodes are shared with another
	// client: a ring of 3,000 points per unit of weight, made from the nodes'
	// ids.
	XXHash Strategy = iota
)

// Ring tells which node owns a key. It never changes and may be used by any
// number of goroutines; With and Without make new ones. The zero Ring has no
// nodes: Locate answers the zero Node, Walk yields nothing.
type Ring struct {
	strategy Strategy
	nodes    []Node          // in the order given
	byID     map[string]Node // the same by id
	ranked   []Node          // the same by rank, which is what the placement below answers
	table    table
}

// New makes a Ring of nodes, in their order. It returns an error that names the
// node if there is none at all, an address is malformed, a weight is negative or
// too large, or two nodes have the same id or address.
func New(s Strategy, nodes ...Node) (*Ring, error) {
	if len(nodes) == 0 {
		return nil, errors.New("ring: no nodes; a ring needs at least one")
	}
	r := &Ring{strategy: s, nodes: slices.Clone(nodes), byID: make(map[string]Node, len(nodes))}
	for i := range r.nodes {
		n := &r.nodes[i]
		if n.ID == "" {
			n.ID = n.Addr
		}
		if err := checkAddr(n.Addr); err != nil {
			return nil, fmt.Errorf("ring: node %q: %w", n.ID, err)
		}
		if n.Weight < 0 {
			return nil, fmt.Errorf("ring: node %q: weight %d is negative; use 1 or more, or 0 for 1", n.ID, n.Weight)
		}
		r.byID[n.ID] = *n
	}
	if err := checkUnique(r.nodes); err != nil {
		return nil, err
	}
	if err := r.place(); err != nil {
		return nil, err
	}
	return r, nil
}

// place ranks the nodes and builds what the strategy looks keys up in.
func (r *Ring) place() error {
	r.ranked = slices.Clone(r.nodes)
	switch r.strategy {
	case XXHash:
		slices.SortFunc(r.ranked, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
		points, err := xxhashPoints(r.ranked)
		if err != nil {
			return err
		}
		r.table = newTable(points, len(r.ranked))
		return nil
	}
	return fmt.Errorf("ring: unknown strategy %d", r.strategy)
}

func (n Node) weight() int { return max(n.Weight, 1) }

// Locate returns the node that owns key. Every string is a key, the empty one
// too. It does not allocate.
func (r *Ring) Locate(key string) Node {
	if len(r.nodes) == 0 {
		return Node{}
	}
	return r.ranked[r.table.owner(xxhashKey(key))]
}

// Walk yields every node once: first the owner of key, as Locate, then the nodes
// that take its place, in order, while those before them are down.
func (r *Ring) Walk(key string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if len(r.nodes) == 0 {
			return
		}
		r.walk(xxhashKey(key), yield)
	}
}

func (r *Ring) walk(hash uint32, yield func(Node) bool) {
	seen := make([]uint64, (len(r.ranked)+63)/64)
	left := len(r.ranked)
	start := r.table.find(hash)
	for i := range len(r.table.words) - 1 {
		at := start + i
		if at >= len(r.table.words)-1 {
			at -= len(r.table.words) - 1
		}
		rank := r.table.rank(at)
		if seen[rank/64]&(1<<(rank%64)) != 0 {
			continue
		}
		seen[rank/64] |= 1 << (rank % 64)
		if left--; !yield(r.ranked[rank]) || left == 0 {
			return
		}
	}
}

// Node returns the node with that id.
func (r *Ring) Node(id string) (Node, bool) {
	n, ok := r.byID[id]
	return n, ok
}

// Nodes returns the nodes in the order given to New. The slice is the caller's.
func (r *Ring) Nodes() []Node { return slices.Clone(r.nodes) }

// With returns a new Ring with n added at the end. Keys move only to n.
// It fails as New does, as when there is a node of that id already.
func (r *Ring) With(n Node) (*Ring, error) {
	return New(r.strategy, append(r.Nodes(), n)...)
}

// Without returns a new Ring that lacks the node with that id. Only the keys of
// that node move. An unknown id and the last node are errors.
func (r *Ring) Without(id string) (*Ring, error) {
	if _, ok := r.byID[id]; !ok {
		return nil, fmt.Errorf("ring: no node %q to remove", id)
	}
	if len(r.nodes) == 1 {
		return nil, fmt.Errorf("ring: node %q is the last one; a ring needs at least one", id)
	}
	return New(r.strategy, slices.DeleteFunc(r.Nodes(), func(n Node) bool { return n.ID == id })...)
}
