package ring

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// Node is one server. Its ID is what XXHash places keys by and what session
// ids carry: the address may change, the keys stay.
type Node struct {
	// ID names the node, uniquely in its Ring. "" means Addr.
	ID string

	// Addr is "host:port", "[::1]:11211" or the path of a UNIX socket,
	// "/path/to.sock". It is required and unique in a Ring.
	Addr string

	// Weight is the node's share of the keys relative to the others'. 0 means 1.
	// KetamaSpy, Rendezvous and Modula ignore it, as the clients they follow do.
	Weight int

	// HashAs is what the strategies of other clients hash for this node.
	// "" means that client's own form of Addr; see Strategy.
	HashAs string
}

// ParseNodes reads a list of nodes as people write it into configuration:
// nodes are separated by commas, white space or both, and a node is one of
//
//	id:host:port     n1:10.0.0.1:11211
//	host:port        cache.example.net:11211
//	id:[ipv6]:port   n1:[fd00::1]:11211; the id may be left out
//	id:/path         n1:/run/memcached.sock; the id may be left out
//
// An id consists of letters, digits and underscores (ASCII). A node written
// without one gets its address as ID. IPv6 addresses need their brackets, and
// socket paths are absolute and have no colon.
//
// Whatever is ambiguous, and whatever names a node or an address twice, is an
// error that quotes the piece at fault. So is a list without nodes.
func ParseNodes(s string) ([]Node, error) {
	pieces := strings.FieldsFunc(s, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
	if len(pieces) == 0 {
		return nil, errors.New(`ring: no nodes given; write them as "n1:host:port,n2:host:port"`)
	}
	nodes := make([]Node, len(pieces))
	for i, piece := range pieces {
		n, err := parseNode(piece)
		if err != nil {
			return nil, fmt.Errorf("ring: node %q: %w", piece, err)
		}
		nodes[i] = n
	}
	if err := checkUnique(nodes); err != nil {
		return nil, err
	}
	return nodes, nil
}

// parseNode reads one node of the list.
func parseNode(piece string) (Node, error) {
	id, addr := splitID(piece)
	if strings.HasPrefix(addr, "//") {
		return Node{}, errors.New("this is a URL; write id:host:port without a scheme")
	}
	if strings.HasPrefix(addr, "/") && strings.Contains(addr, ":") {
		return Node{}, errors.New("a socket path has no colon here; sockets have no port, and nodes are separated by commas or blanks")
	}
	if id == nil {
		return Node{ID: addr, Addr: addr}, checkAddr(addr)
	}
	if err := checkID(*id); err != nil {
		return Node{}, err
	}
	return Node{ID: *id, Addr: addr}, checkAddr(addr)
}

// splitID cuts the id off a piece. It is nil if the piece is an address alone:
// a path, a bracketed address, or no more than one colon.
func splitID(piece string) (id *string, addr string) {
	before, after, found := strings.Cut(piece, ":")
	switch {
	case !found, piece[0] == '/', piece[0] == '[':
		return nil, piece
	case strings.HasPrefix(after, "/"), strings.Contains(after, ":"):
		return &before, after
	}
	return nil, piece
}

// checkID reports whether a written id can be part of a session id.
func checkID(id string) error {
	if id == "" {
		return errors.New("the id before the first colon is empty; write id:host:port or host:port")
	}
	for _, c := range []byte(id) {
		if !isAlnum(c) && c != '_' {
			return fmt.Errorf("id %q has %q; ids consist of letters, digits and underscores, and the order is id:host:port", id, c)
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// checkAddr reports whether addr is an absolute path or host:port.
func checkAddr(addr string) error {
	if strings.HasPrefix(addr, "/") {
		return nil
	}
	host, port, err := splitAddr(addr)
	if err != nil {
		return err
	}
	if err := checkPort(port); err != nil {
		return err
	}
	if addr[0] == '[' {
		return checkIPv6(host)
	}
	return checkHost(host)
}

// splitAddr cuts host:port at the colon before the port and takes the brackets
// off an IPv6 address.
func splitAddr(addr string) (host, port string, err error) {
	colon := strings.LastIndexByte(addr, ':')
	switch {
	case addr == "":
		return "", "", errors.New("the address is empty; write host:port or the path of a socket")
	case colon < 0 || addr[0] == '[' && addr[colon-1] != ']':
		return "", "", fmt.Errorf("address %q has no port; write host:port, usually host:11211", addr)
	}
	host, port = addr[:colon], addr[colon+1:]
	if host != "" && host[0] == '[' {
		return host[1 : len(host)-1], port, nil
	}
	if strings.Contains(host, ":") {
		return "", "", fmt.Errorf("address %q has too many colons; separate nodes by commas or blanks, and put IPv6 addresses in brackets as in [::1]:11211", addr)
	}
	return host, port, nil
}

func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return fmt.Errorf("port %q is not a number from 1 to 65535; write host:port or id:host:port", port)
	}
	return nil
}

func checkIPv6(host string) error {
	if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
		return fmt.Errorf("%q is not an IPv6 address; only those stand in brackets", host)
	}
	return nil
}

// checkHost refuses what no host name can be, above all what shows that the
// piece was meant as something else, as host:port:weight.
func checkHost(host string) error {
	if host == "" {
		return errors.New("the host is empty; write host:port, as in localhost:11211")
	}
	digits := true
	for _, c := range []byte(host) {
		if !isAlnum(c) && c != '.' && c != '-' && c != '_' {
			return fmt.Errorf("host %q has %q; write a host name (xn-- form if it is not ASCII), an IPv4 address or an IPv6 address in brackets", host, c)
		}
		digits = digits && '0' <= c && c <= '9'
	}
	if digits {
		return fmt.Errorf("host %q is a number; the order is id:host:port", host)
	}
	return nil
}

// checkUnique refuses two nodes of one id or of one address.
func checkUnique(nodes []Node) error {
	ids := make(map[string]int, len(nodes))
	addrs := make(map[string]int, len(nodes))
	for i, n := range nodes {
		if _, ok := ids[n.ID]; ok {
			return fmt.Errorf("ring: id %q is given to two nodes; every node needs its own", n.ID)
		}
		addr := canonicalAddr(n.Addr)
		if j, ok := addrs[addr]; ok {
			return fmt.Errorf("ring: nodes %q and %q have the same address %s; remove one of them", nodes[j].ID, n.ID, n.Addr)
		}
		ids[n.ID], addrs[addr] = i, i
	}
	return nil
}

// canonicalAddr is equal for the spellings of one address.
func canonicalAddr(addr string) string {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
	}
	if strings.HasPrefix(addr, "/") {
		return addr
	}
	return strings.ToLower(addr)
}
