package ring

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Strategy says how a Ring places keys. XXHash is the one to take, unless the
// servers are shared with another client or filled by one that is being
// replaced; the others place every key where that client does, byte for byte as
// on x86 (some of them hash keys outside ASCII differently on other machines).
// The ketamas need MD5; where FIPS 140 forbids it (GODEBUG=fips140=only), it
// panics in New.
type Strategy uint8

const (
	// XXHash is a ring of points made from the nodes' ids, 2,000 per unit of
	// weight. An address may change without moving a key. Adding a node moves keys
	// only to it, and removing one moves only its keys, to where Walk has sent
	// them while it was down; so does every strategy but Modula, with the
	// exceptions named there.
	XXHash Strategy = iota

	// Ketama is libmemcached's weighted ketama with MD5 (BEHAVIOR_KETAMA_WEIGHTED,
	// pylibmc's "ketama_weighted", PHP's OPT_LIBKETAMA_COMPATIBLE). It hashes the
	// host, and ":port" unless that is 11211; of a socket, its path and ":0".
	// It shares points out by weight among all nodes and rounds, so when one comes
	// or goes, others can trade keys: with unequal weights, and beyond 24 equal nodes,
	// where it is up to 3 % of all keys.
	Ketama

	// KetamaSpy is spymemcached's KetamaNodeLocator with KETAMA_HASH. It hashes
	// "host:port", which fits servers configured by address. For those configured
	// by name, set HashAs to what Java prints: "name/10.0.0.1:11211". It ignores
	// weights. Walk tries what spymemcached tries and then the others, so removing
	// a node does not send keys where Walk had sent them.
	KetamaSpy

	// Twemproxy is twemproxy's "distribution: ketama" with "hash: fnv1a_64". It is
	// Ketama with another hash for keys. Where the configuration has names after
	// the weights, set HashAs to them.
	Twemproxy

	// Rendezvous is pymemcache's HashClient, for keys that are str (it places
	// bytes differently). It hashes "host:port", or a socket's path, with each
	// key; so Locate costs time in proportion to the nodes. It ignores weights.
	Rendezvous

	// Modula is gomemcache's ServerList: CRC-32 modulo the number of nodes. Only
	// their order counts. It ignores weights, and adding or removing a node moves
	// nearly all keys. gomemcache has no failover; Walk goes on in list order.
	Modula
)

// String returns the name of the constant.
func (s Strategy) String() string {
	names := [...]string{"XXHash", "Ketama", "KetamaSpy", "Twemproxy", "Rendezvous", "Modula"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("Strategy(%d)", uint8(s))
}

// namedNode is a node with the name that its strategy hashes.
type namedNode struct {
	Node
	name string
}

// rank names nodes and puts them in order of precedence: which of them owns a
// place that two share. It refuses nodes that the strategy cannot tell apart.
func (s Strategy) rank(nodes []Node, addrs []address) ([]namedNode, error) {
	list := make([]namedNode, len(nodes))
	owner := make(map[string]string, len(nodes))
	for i, n := range nodes {
		list[i] = namedNode{n, s.hashedName(n, addrs[i])}
		if other, ok := owner[list[i].name]; ok {
			return nil, fmt.Errorf("ring: nodes %q and %q are both hashed as %q; set HashAs of one of them", other, n.ID, list[i].name)
		}
		owner[list[i].name] = n.ID
	}
	switch s {
	case XXHash: // by id, so that the order of configuration does not matter
		slices.SortFunc(list, func(a, b namedNode) int { return strings.Compare(a.name, b.name) })
	case KetamaSpy: // a map of points: the last one added replaces the others
		slices.Reverse(list)
	case Twemproxy: // shorter names first (nc_string.c, string_compare)
		slices.SortFunc(list, func(a, b namedNode) int {
			return cmp.Or(cmp.Compare(len(a.name), len(b.name)), strings.Compare(a.name, b.name))
		})
	case Rendezvous: // of equal scores the greater name wins
		slices.SortFunc(list, func(a, b namedNode) int { return strings.Compare(b.name, a.name) })
	}
	return list, nil
}

// hashedName returns what the strategy hashes for a node.
func (s Strategy) hashedName(n Node, a address) string {
	switch {
	case s == XXHash || s == Modula:
		return n.ID
	case n.HashAs != "":
		return n.HashAs
	case s == Ketama:
		return libmemcachedName(a)
	case s == KetamaSpy:
		return spymemcachedName(a)
	case s == Twemproxy:
		return twemproxyName(a)
	}
	return pymemcacheName(a)
}

// points returns the points of a strategy that has a ring of them.
func (s Strategy) points(nodes []namedNode) ([]point, error) {
	switch s {
	case XXHash:
		return xxhashPoints(nodes)
	case Ketama, Twemproxy:
		return ketamaPoints(nodes, weightedGroups(nodes)), nil
	case KetamaSpy:
		return ketamaPoints(nodes, equalGroups(nodes)), nil
	}
	return nil, fmt.Errorf("ring: there is no %v; use XXHash or another of the constants", s)
}

// hash returns the place of a key on the ring of a strategy that has one.
func (s Strategy) hash(key string) uint32 {
	switch s {
	case XXHash:
		return xxhashKey(key)
	case Twemproxy:
		return fnv1aKey(key)
	}
	return md5Key(key)
}
