package ring

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Node is one server. Its ID is what XXHash hashes and what session ids carry:
// the address may change, the keys stay.
type Node struct {
	// ID names the node, uniquely in its Ring. "" means Addr.
	ID string

	// Addr is "host:port", "[::1]:11211", or the path of a UNIX socket,
	// "/path/to.sock". It is required, and unique in a Ring.
	Addr string

	// Weight is the node's share of the keys relative to the others'; 0 means 1.
	// With XXHash, the weights of a Ring sum to at most 10,000, and small numbers
	// are best: each unit keeps 15 KB. Elsewhere a weight is at most 1,000,000,000,
	// and KetamaSpy, Rendezvous and Modula ignore it, as the clients they follow do.
	Weight int

	// HashAs is what Ketama, KetamaSpy, Twemproxy and Rendezvous hash for this
	// node, uniquely in its Ring. "" means the other client's own form of Addr,
	// which each Strategy describes.
	HashAs string
}

// maxWeight fits the 32 bits that other clients have for a weight.
const maxWeight = 1_000_000_000

func (n Node) weight() int { return max(n.Weight, 1) }

// ParseNodes reads nodes as people write them into a configuration, with commas,
// white space or both between them and after the last. A node is one of
//
//	id:host:port      n1:10.0.0.1:11211
//	host:port         cache.example.net:11211
//	id:[ipv6]:port    n1:[fd00::1]:11211, or without the id
//	id:/path          n1:/run/memcached.sock, or without the id
//
// Ids consist of ASCII letters, digits and underscores. A node without one gets
// its address as ID. Ids and addresses are unique. Weights and other fields are
// for the caller to set.
//
// Anything else is an error that quotes the piece at fault, also what could be
// guessed, such as a missing port: another guess would place keys elsewhere.
// A list without nodes is an error too.
func ParseNodes(s string) ([]Node, error) {
	pieces := strings.FieldsFunc(s, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
	if len(pieces) == 0 {
		return nil, errors.New("ring: no nodes in the list; write n1:host:port,n2:host:port")
	}
	nodes := make([]Node, len(pieces))
	addrs := make([]address, len(pieces))
	for i, piece := range pieces {
		var err error
		if nodes[i], addrs[i], err = parseNode(piece); err != nil {
			return nil, fmt.Errorf("ring: node %q: %w", piece, err)
		}
	}
	if err := checkUnique(nodes, addrs); err != nil {
		return nil, err
	}
	return nodes, nil
}

func parseNode(piece string) (Node, address, error) {
	id, addr, hasID := cutID(piece)
	if !hasID {
		id = addr
	} else if err := checkID(id); err != nil {
		return Node{}, address{}, err
	}
	a, err := parseAddress(addr)
	if err == nil && a.isSocket() && strings.Contains(addr, ":") {
		err = errors.New("a socket has no port; write id:/path, and a comma or a blank between nodes")
	}
	return Node{ID: id, Addr: addr}, a, err
}

// cutID cuts the id off a piece, unless the piece is an address alone: a path,
// a bracketed address, or something with one colon at most.
func cutID(piece string) (id, addr string, hasID bool) {
	id, rest, _ := strings.Cut(piece, ":")
	if piece[0] == '/' || piece[0] == '[' || !strings.ContainsAny(rest, ":/") {
		return "", piece, false
	}
	return id, rest, true
}

// checkID refuses what cannot stand in a session id.
func checkID(id string) error {
	if id == "" {
		return errors.New("the id before the first colon is empty; write id:host:port, host:port or [ipv6]:port")
	}
	for _, c := range id {
		if !isLetterOrDigit(c) && c != '_' {
			return fmt.Errorf("id %q has %q; ids have letters, digits and underscores, and the order is id:host:port", id, c)
		}
	}
	return nil
}

// prepare fills in default ids, and refuses nodes that are wrong by themselves or
// beside each other.
func prepare(nodes []Node) ([]address, error) {
	addrs := make([]address, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		if n.ID == "" {
			n.ID = n.Addr
		}
		var err error
		if addrs[i], err = parseAddress(n.Addr); err != nil {
			return nil, fmt.Errorf("ring: node %q: %w", n.ID, err)
		}
		if n.Weight < 0 || n.Weight > maxWeight {
			return nil, fmt.Errorf("ring: node %q: weight %d is out of range; write 1 to %d, or 0 for 1", n.ID, n.Weight, maxWeight)
		}
	}
	return addrs, checkUnique(nodes, addrs)
}

// checkUnique refuses two nodes of one address or of one id.
func checkUnique(nodes []Node, addrs []address) error {
	byAddr := make(map[string]Node, len(nodes))
	byID := make(map[string]Node, len(nodes))
	for i, n := range nodes {
		if other, ok := byAddr[addrs[i].key()]; ok {
			return fmt.Errorf("ring: nodes %q and %q have the same address %s; remove one of them", other.ID, n.ID, n.Addr)
		}
		if other, ok := byID[n.ID]; ok {
			return fmt.Errorf("ring: nodes %s and %s have the same id %q; give each its own", other.Addr, n.Addr, n.ID)
		}
		byAddr[addrs[i].key()], byID[n.ID] = n, n
	}
	return nil
}
