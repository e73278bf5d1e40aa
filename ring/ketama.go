package ring

import (
	"crypto/md5"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// The three ketama strategies differ in the name of a node, in the number of its
// points, in the key's hash, and in who owns a place that two nodes share.

// groupsPerNode is the number of digests of a node of average weight. Each makes
// four points.
const groupsPerNode = 40

// ketamaPoints returns the points of nodes: the MD5 digests of "name-0", "name-1"
// and so on, each cut into four words.
func ketamaPoints(nodes []namedNode, groups []int) []point {
	points := make([]point, 0, 4*groupsPerNode*len(nodes))
	var text []byte
	for rank, n := range nodes {
		text = append(append(text[:0], n.name...), '-')
		for i := range groups[rank] {
			sum := md5.Sum(strconv.AppendInt(text, int64(i), 10))
			for j := 0; j < len(sum); j += 4 {
				points = append(points, newPoint(binary.LittleEndian.Uint32(sum[j:]), rank))
			}
		}
	}
	return points
}

// equalGroups is how spymemcached divides the points: it ignores weights.
func equalGroups(nodes []namedNode) []int {
	groups := make([]int, len(nodes))
	for i := range groups {
		groups[i] = groupsPerNode
	}
	return groups
}

// weightedGroups is how libmemcached and twemproxy divide the points. They
// compute in float32, so 25 equal nodes have 39 groups and not 40, and a node may
// have none. (The 1e-10 that they add before they round down is lost in a
// float32.) The conversions keep a step from being fused with the next.
func weightedGroups(nodes []namedNode) []int {
	var total uint64
	for _, n := range nodes {
		total += uint64(n.weight())
	}
	groups := make([]int, len(nodes))
	for i, n := range nodes {
		share := float32(n.weight()) / float32(total)
		points := float32(share * (4 * groupsPerNode))
		groups[i] = int(float32(float32(points/4) * float32(len(nodes))))
	}
	return groups
}

// libmemcachedName is the host, and the port too unless it is the default one.
// libmemcached gives a socket the port 0.
func libmemcachedName(a address) string {
	switch {
	case a.isSocket():
		return a.host + ":0"
	case a.port == "11211":
		return a.host
	}
	return a.host + ":" + a.port
}

// twemproxyName is libmemcachedName but for sockets, whose name ends with the
// colon that stands before the weight in twemproxy's configuration
// (nc_conf.c, conf_add_server).
func twemproxyName(a address) string {
	if a.isSocket() {
		return a.host + ":"
	}
	return libmemcachedName(a)
}

// spymemcachedName is how Java prints a socket address that was not made from a
// name: host and port, IPv6 in brackets and without "::" (JDK 14 and later).
func spymemcachedName(a address) string {
	switch {
	case a.isSocket():
		return a.host
	case a.ip6.Is4In6(): // IPv4 to Java
		return a.ip6.Unmap().String() + ":" + a.port
	case a.ip6.IsValid():
		return "[" + javaIPv6(a.ip6) + "]:" + a.port
	}
	return a.host + ":" + a.port
}

// javaIPv6 is an address with all of its eight groups.
func javaIPv6(ip netip.Addr) string {
	bytes, groups := ip.As16(), make([]string, 8)
	for i := range groups {
		groups[i] = strconv.FormatUint(uint64(binary.BigEndian.Uint16(bytes[2*i:])), 16)
	}
	text := strings.Join(groups, ":")
	if zone := ip.Zone(); zone != "" {
		text += "%" + zone
	}
	return text
}

// md5Key is the place of a key for libmemcached and spymemcached.
func md5Key(key string) uint32 {
	var buf [256]byte // no allocation for keys that memcached takes
	sum := md5.Sum(append(buf[:0], key...))
	return binary.LittleEndian.Uint32(sum[:])
}

// fnv1aKey is the place of a key for twemproxy. Of its 64-bit FNV-1a, twemproxy
// keeps 32 bits at every step. Bytes are C chars, which on x86 have a sign.
func fnv1aKey(key string) uint32 {
	hash := uint32(0x84222325)
	for i := range len(key) {
		hash = (hash ^ uint32(int8(key[i]))) * 0x1b3
	}
	return hash
}
