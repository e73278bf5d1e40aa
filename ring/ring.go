package ring

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Ring tells which node owns a key. It never changes, so any number of
// goroutines may use it; With and Without make new ones. The zero Ring has no
// nodes: Locate returns the zero Node, and Walk yields nothing.
type Ring struct {
	strategy Strategy
	nodes    []Node          // in the order given
	byID     map[string]Node // the same
	ranked   []Node          // the same by rank, as the fields below count them

	points     table      // XXHash and the ketamas
	candidates candidates // Rendezvous
}

// New makes a Ring of nodes. It needs at least one, and returns an error that
// names the node if an address is malformed, a weight out of range, or an id, an
// address or what the strategy hashes is that of another node.
//
// Rings that were made from the same nodes place every key alike, in any program
// and in any order of the nodes; only Modula goes by the order, and Ketama and
// KetamaSpy where two points coincide. With XXHash, one of 1,000 nodes is made
// in some 100 ms and keeps 15 MB.
func New(s Strategy, nodes ...Node) (*Ring, error) {
	if len(nodes) == 0 {
		return nil, errors.New("ring: no nodes; give at least one")
	}
	r := &Ring{strategy: s, nodes: slices.Clone(nodes)}
	addrs, err := prepare(r.nodes)
	if err != nil {
		return nil, err
	}
	list, err := s.rank(r.nodes, addrs)
	if err != nil {
		return nil, err
	}
	r.byID = make(map[string]Node, len(list))
	r.ranked = make([]Node, len(list))
	for i, n := range list {
		r.byID[n.ID], r.ranked[i] = n.Node, n.Node
	}
	switch s {
	case Rendezvous:
		r.candidates = newCandidates(list)
	case Modula: // goes by the order alone
	default:
		points, err := s.points(list)
		if err != nil {
			return nil, err
		}
		sortPoints(points)
		r.points = newTable(points, len(list))
	}
	return r, nil
}

// Strategy returns the strategy given to New.
func (r *Ring) Strategy() Strategy { return r.strategy }

// String returns the strategy and the ids of the nodes, as "XXHash(n1, n2)": what
// to write into a log, where the points would take megabytes.
func (r *Ring) String() string {
	list := make([]string, len(r.nodes))
	for i, n := range r.nodes {
		list[i] = n.ID
	}
	return r.strategy.String() + "(" + strings.Join(list, ", ") + ")"
}

// Locate returns the node that owns key. It does not allocate for keys of up to
// 250 bytes, the most that memcached takes. Any string is a key here.
func (r *Ring) Locate(key string) Node { return *r.locate(key) }

// locate is Locate without the copy, of which most callers need a field or two.
func (r *Ring) locate(key string) *Node {
	switch {
	case len(r.ranked) == 0:
		return &Node{}
	case r.strategy == Rendezvous:
		return &r.ranked[r.candidates.best(key)]
	case r.strategy == Modula:
		return &r.ranked[crcKey(key)%uint32(len(r.ranked))]
	}
	return &r.ranked[r.points.owner(r.strategy.hash(key))]
}

// Walk yields every node once: first the owner of key, as Locate returns it,
// then, in order, those that take its place when it is down.
func (r *Ring) Walk(key string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		switch {
		case len(r.ranked) == 0:
		case r.strategy == Rendezvous:
			for _, rank := range r.candidates.order(key) {
				if !yield(r.ranked[rank]) {
					return
				}
			}
		case r.strategy == Modula:
			first := int(crcKey(key) % uint32(len(r.ranked)))
			for i := range r.ranked {
				if !yield(r.ranked[(first+i)%len(r.ranked)]) {
					return
				}
			}
		default:
			r.walkPoints(key, yield)
		}
	}
}

// Node returns the node with that id.
func (r *Ring) Node(id string) (Node, bool) {
	n, ok := r.byID[id]
	return n, ok
}

// Nodes returns the nodes in the order given to New, their ids filled in. The
// slice is the caller's.
func (r *Ring) Nodes() []Node { return slices.Clone(r.nodes) }

// With returns a new Ring that has n too, as the last one, at the cost of New.
// Keys move only to n, with the exceptions that Strategy names. It fails as New
// does, also if there is a node with that id or address already.
func (r *Ring) With(n Node) (*Ring, error) {
	return New(r.strategy, append(r.Nodes(), n)...)
}

// Without returns a new Ring that lacks the node with that id, at the cost of New.
// Only its keys move, with the exceptions that Strategy names. An unknown id and
// the last node are errors.
func (r *Ring) Without(id string) (*Ring, error) {
	if _, ok := r.byID[id]; !ok {
		return nil, fmt.Errorf("ring: there is no node %q to remove", id)
	}
	rest := slices.DeleteFunc(r.Nodes(), func(n Node) bool { return n.ID == id })
	if len(rest) == 0 {
		return nil, fmt.Errorf("ring: node %q is the last one; a ring needs at least one", id)
	}
	return New(r.strategy, rest...)
}
