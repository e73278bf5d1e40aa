package ring

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParseNodes(t *testing.T) {
	a := Node{ID: "n1", Addr: "localhost:11211"}
	b := Node{ID: "n2", Addr: "10.0.0.2:11212"}
	tests := []struct {
		reason, list string
		want         []Node
	}{
		{"commas", "n1:localhost:11211,n2:10.0.0.2:11212", []Node{a, b}},
		{"blanks", "n1:localhost:11211 n2:10.0.0.2:11212", []Node{a, b}},
		{"both", "n1:localhost:11211, n2:10.0.0.2:11212", []Node{a, b}},
		{"a comma on each side of a blank", "n1:localhost:11211 , ,n2:10.0.0.2:11212", []Node{a, b}},
		{"tabs and line ends, as in XML attributes", "\r\n\tn1:localhost:11211\r\n\tn2:10.0.0.2:11212\r\n", []Node{a, b}},
		{"a non-breaking space, pasted from a page", "n1:localhost:11211\u00a0n2:10.0.0.2:11212", []Node{a, b}},
		{"separators at both ends", " ,n1:localhost:11211,n2:10.0.0.2:11212, ,", []Node{a, b}},
		{"the order is kept", "n2:10.0.0.2:11212,n1:localhost:11211", []Node{b, a}},
		{"one node", "n1:localhost:11211", []Node{a}},
		{"one node without id", "localhost:11211", []Node{{ID: "localhost:11211", Addr: "localhost:11211"}}},
		{"two nodes without ids are two nodes, where MSM saw one", "localhost:11211,localhost:11212",
			[]Node{{ID: "localhost:11211", Addr: "localhost:11211"}, {ID: "localhost:11212", Addr: "localhost:11212"}}},
		{"with and without id", "n1:localhost:11211 10.0.0.2:11212", []Node{a, {ID: "10.0.0.2:11212", Addr: "10.0.0.2:11212"}}},
		{"IPv6", "n1:[::1]:11211", []Node{{ID: "n1", Addr: "[::1]:11211"}}},
		{"IPv6 without id", "[fd00::1]:11211", []Node{{ID: "[fd00::1]:11211", Addr: "[fd00::1]:11211"}}},
		{"IPv6 with a zone", "[fe80::1%eth0]:11211", []Node{{ID: "[fe80::1%eth0]:11211", Addr: "[fe80::1%eth0]:11211"}}},
		{"a socket", "n1:/run/mc.sock", []Node{{ID: "n1", Addr: "/run/mc.sock"}}},
		{"a socket without id", "/run/mc.sock", []Node{{ID: "/run/mc.sock", Addr: "/run/mc.sock"}}},
		{"every character an id may have", "A_z09:mc-1.my_net.example:1", []Node{{ID: "A_z09", Addr: "mc-1.my_net.example:1"}}},
		{"an id of digits", "1:localhost:11211", []Node{{ID: "1", Addr: "localhost:11211"}}},
		{"same host, other port; same path on other sockets", "h:1 h:2 /a /b",
			[]Node{{ID: "h:1", Addr: "h:1"}, {ID: "h:2", Addr: "h:2"}, {ID: "/a", Addr: "/a"}, {ID: "/b", Addr: "/b"}}},
		{"paths differ by case, and hosts do not", "/a /A", []Node{{ID: "/a", Addr: "/a"}, {ID: "/A", Addr: "/A"}}},
	}
	for _, test := range tests {
		got, err := ParseNodes(test.list)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: ParseNodes(%q) = %v, %v, want %v", test.reason, test.list, got, err, test.want)
		}
		if _, err := New(XXHash, got...); err != nil {
			t.Errorf("%s: New: %v", test.reason, err)
		}
	}
}

// refusedNodes are lists that ParseNodes refuses.
var refusedNodes = []struct {
	reason, list string
	piece, hint  string // what the error must quote and say
}{
	{"nothing", "", "", "n1:host:port"},
	{"only separators", " , \t", "", "n1:host:port"},
	{"no port", "n1:a:1,localhost", `"localhost"`, "has no port"},
	{"no port after the id", "n1:localhost", `"n1:localhost"`, `port "localhost"`},
	{"port 0", "n1:a:1,n2:b:0", `"n2:b:0"`, "1 to 65535"},
	{"port too large", "b:65536", `"b:65536"`, "1 to 65535"},
	{"port with a sign", "b:+11211", `"b:+11211"`, "1 to 65535"},
	{"port with a leading zero, another server to ketama", "b:011211", `"b:011211"`, "1 to 65535"},
	{"port by name", "b:memcached", `"b:memcached"`, "1 to 65535"},
	{"no port after the colon", "b:", `"b:"`, "1 to 65535"},
	{"no host", ":11211", `":11211"`, "host is empty"},
	{"no host after the id", "n1::11211", `"n1::11211"`, "host is empty"},
	{"no id before the colon", ":localhost:11211", `":localhost:11211"`, "id before the first colon is empty"},
	{"IPv6 without brackets, which looks like an id", "::1:11211", `"::1:11211"`, "[ipv6]:port"},
	{"IPv6 without brackets after the id", "n1:fd00::1:11211", `"n1:fd00::1:11211"`, "put IPv6 addresses in brackets"},
	{"IPv6 without port", "n1:[::1]", `"n1:[::1]"`, "has no port"},
	{"IPv6 without its closing bracket", "[::1:11211", `"[::1:11211"`, "in brackets"},
	{"a name in brackets", "[localhost]:11211", `"[localhost]:11211"`, "in brackets"},
	{"IPv4 in brackets", "[10.0.0.1]:11211", `"[10.0.0.1]:11211"`, "in brackets"},
	{"nothing between two nodes", "n1:a:11211n2:b:11211", `"n1:a:11211n2:b:11211"`, "a comma or a blank between nodes"},
	{"a semicolon between two nodes", "n1:a:1;n2:b:2", `"n1:a:1;n2:b:2"`, "a comma or a blank between nodes"},
	{"a weight at the end, read as id:host:port", "localhost:11211:1", `"localhost:11211:1"`, "the order is id:host:port"},
	{"a weight after an address", "10.0.0.1:11211:1", `"10.0.0.1:11211:1"`, "the order is id:host:port"},
	{"octal digits, another server to some resolvers", "n1:010.0.0.1:1", `"n1:010.0.0.1:1"`, "not an IPv4 address"},
	{"half an IPv4 address, which some resolvers fill up", "n1:127.1:1", `"n1:127.1:1"`, "not an IPv4 address"},
	{"an IPv4 address with a byte too large", "10.0.0.999:1", `"10.0.0.999:1"`, "not an IPv4 address"},
	{"a dash in the id, which would end it in a session id", "n-1:a:1", `"n-1:a:1"`, "letters, digits and underscores"},
	{"a dot in the id, which would begin the route", "n.1:a:1", `"n.1:a:1"`, "letters, digits and underscores"},
	{"an id outside ASCII", "nö:a:1", `"nö:a:1"`, "letters, digits and underscores"},
	{"an id with =", "n1=a:11211", `"n1=a:11211"`, "host name"},
	{"a host outside ASCII", "n1:größe:1", `"n1:größe:1"`, "ASCII"},
	{"a URL", "http://a:11211", `"http://a:11211"`, "without a scheme"},
	{"a URL with an id", "n1:tcp://a:11211", `"n1:tcp://a:11211"`, "colon"},
	{"a relative path", "n1:run/mc.sock", `"n1:run/mc.sock"`, ""},
	{"a relative path without id", "run/mc.sock", `"run/mc.sock"`, "has no port"},
	{"a socket with a port", "n1:/run/mc.sock:0", `"n1:/run/mc.sock:0"`, "a socket has no port"},
	{"a socket and no comma", "/a:n2:b:1", `"/a:n2:b:1"`, "a comma or a blank between nodes"},
	{"a control character", "n1:a\x00b:1", `"n1:a\x00b:1"`, "host name"},
	{"a control character in a path", "/run/\x00", `"/run/\x00"`, "control character"},
	{"the same id twice", "n1:a:1,n1:b:1", `a:1 and b:1`, "give each its own"},
	{"the same address twice", "n1:a:1,n2:a:1", `"n1" and "n2"`, "same address"},
	{"the same address twice without ids", "a:1,a:1", `"a:1"`, "same address"},
	{"the same host in other letters", "n1:Cache:1,n2:cache:1", `"n1" and "n2"`, "same address"},
	{"the same IPv6 address written otherwise", "n1:[::1]:1,n2:[0:0::1]:1", `"n1" and "n2"`, "same address"},
	{"an IPv4 address in IPv6 form", "n1:10.0.0.1:1,n2:[::ffff:10.0.0.1]:1", `"n1" and "n2"`, "same address"},
	{"the same socket twice", "n1:/a,n2:/a", `"n1" and "n2"`, "same address"},
	{"the same socket written otherwise", "n1:/run/a,n2:/run//./a", `"n1" and "n2"`, "same address"},
}

func TestParseNodesRefuses(t *testing.T) {
	for _, test := range refusedNodes {
		got, err := ParseNodes(test.list)
		if err == nil || got != nil {
			t.Errorf("%s: ParseNodes(%q) = %v, %v, want only an error", test.reason, test.list, got, err)
		} else if text := err.Error(); !strings.HasPrefix(text, "ring: ") || !strings.Contains(text, test.piece) || !strings.Contains(text, test.hint) {
			t.Errorf("%s: ParseNodes(%q) says %q, want it to quote %s and to say %q", test.reason, test.list, err, test.piece, test.hint)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	a, b := Node{ID: "a", Addr: "a:1"}, Node{ID: "b", Addr: "b:1"}
	tests := []struct {
		reason   string
		strategy Strategy
		nodes    []Node
		says     []string
	}{
		{"no node", XXHash, nil, []string{"at least one"}},
		{"an unknown strategy", Modula + 1, []Node{a}, []string{"Strategy(6)", "use XXHash"}},
		{"no address", XXHash, []Node{a, {ID: "b"}}, []string{`node "b"`, "address is empty"}},
		{"neither id nor address", XXHash, []Node{{}}, []string{"address is empty"}},
		{"an address without port", XXHash, []Node{{ID: "b", Addr: "b"}}, []string{`node "b"`, "has no port"}},
		{"a bad port", XXHash, []Node{{ID: "b", Addr: "b:99999"}}, []string{`node "b"`, "65535"}},
		{"an id twice", XXHash, []Node{a, {ID: "a", Addr: "b:1"}}, []string{`"a"`}},
		{"an id that is the other's default", XXHash, []Node{{Addr: "a:1"}, {ID: "a:1", Addr: "b:1"}}, []string{`"a:1"`}},
		{"an address twice", XXHash, []Node{a, {ID: "b", Addr: "A:1"}}, []string{`"a" and "b"`, "same address"}},
		{"a negative weight", XXHash, []Node{{ID: "a", Addr: "a:1", Weight: -1}}, []string{`node "a"`, "weight -1"}},
		{"a weight past every limit", XXHash, []Node{{ID: "a", Addr: "a:1", Weight: math.MaxInt}}, []string{`node "a"`, "weight"}},
		{"a weight that would take much memory", XXHash, []Node{a, {ID: "b", Addr: "b:1", Weight: 10_000}}, []string{`node "b"`, "common factor"}},
		{"weights that other clients could not count", Ketama, []Node{{ID: "a", Addr: "a:1", Weight: math.MaxInt}, b}, []string{`node "a"`, "weight"}},
		{"what is hashed, twice", Ketama, []Node{{ID: "a", Addr: "a:1", HashAs: "x"}, {ID: "b", Addr: "b:1", HashAs: "x"}}, []string{`"a" and "b"`, `"x"`, "HashAs"}},
		{"two IPv6 servers that libmemcached cannot tell apart", Ketama, []Node{{ID: "a", Addr: "[1::2]:3"}, {ID: "b", Addr: "[1::2:3]:11211"}}, []string{`"a" and "b"`, `"1::2:3"`}},
	}
	for _, test := range tests {
		r, err := New(test.strategy, test.nodes...)
		if err == nil {
			t.Errorf("%s: New makes a ring of %v, want an error", test.reason, r.Nodes())
			continue
		}
		for _, part := range append(test.says, "ring: ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: New says %q, want it to say %q", test.reason, err, part)
			}
		}
	}
}
