// Package ring decides which memcached server owns a key.
//
// A Ring is made once from a list of nodes and a Strategy, and never changes:
//
//	nodes, err := ring.ParseNodes("n1:10.0.0.1:11211,n2:10.0.0.2:11211")
//	r, err := ring.New(ring.XXHash, nodes...)
//	node := r.Locate("user:42")
//
// Programs need not talk to each other to agree: the same nodes place every key
// alike everywhere. Locate names a key's owner; Walk goes on to the nodes that
// take its place while it is down. When nodes come and go, With and Without make
// the next ring, and Diff tells what share of the keys it moves.
//
// XXHash is the strategy for new clusters. It goes by the ids of the nodes, so an
// address may change, and it moves no more keys than it must. The other strategies
// put every key where libmemcached, spymemcached, twemproxy, pymemcache or
// gomemcache put it: for taking over from such a client, or sharing its servers.
//
// The package does no input or output, and names are never resolved.
package ring
