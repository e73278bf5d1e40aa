package ring

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

var strategies = []Strategy{XXHash, Ketama, KetamaSpy, Twemproxy, Rendezvous, Modula}

// equalNodes are n1, n2, ... at 10.0.0.1, 10.0.0.2, ...
func equalNodes(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{ID: fmt.Sprintf("n%d", i+1), Addr: fmt.Sprintf("10.0.%d.%d:11211", (i+1)/256, (i+1)%256)}
	}
	return nodes
}

func mustNew(tb testing.TB, s Strategy, nodes ...Node) *Ring {
	tb.Helper()
	r, err := New(s, nodes...)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func ids(nodes iter.Seq[Node]) []string {
	var list []string
	for n := range nodes {
		list = append(list, n.ID)
	}
	return list
}

// someKeys are keys of all kinds that memcached takes, and some that it refuses.
func someKeys(n int) []string {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := []string{"", "a", strings.Repeat("k", 250), strings.Repeat("k", 300), "größe", "鍵", "\xff\xfe", "with blank", "\x00"}
	for len(keys) < n {
		keys = append(keys, fmt.Sprintf("%x", rng.Uint64()>>(rng.Uint32()%60)))
	}
	return keys
}

// TestWalk checks what holds for every strategy: Walk yields every node once,
// the owner first, and can be left at any node.
func TestWalk(t *testing.T) {
	for _, s := range strategies {
		for _, n := range []int{1, 2, 3, 64, 65, 300} {
			r := mustNew(t, s, equalNodes(n)...)
			want := slices.Sorted(slices.Values(ids(slices.Values(r.Nodes()))))
			for _, key := range someKeys(20) {
				walk := slices.Collect(r.Walk(key))
				if walk[0] != r.Locate(key) {
					t.Errorf("%v, %d nodes, key %q: Walk begins with %v, Locate answers %v", s, n, key, walk[0], r.Locate(key))
				}
				if got := slices.Sorted(slices.Values(ids(slices.Values(walk)))); !slices.Equal(got, want) {
					t.Errorf("%v, %d nodes, key %q: Walk yields %v, want each of %v", s, n, key, got, want)
				}
				for stop := range min(n, 4) {
					count := 0
					for got := range r.Walk(key) {
						if got != walk[count] {
							t.Errorf("%v, key %q: node %d of a second Walk is %v, was %v", s, key, count, got, walk[count])
						}
						if count++; count > stop {
							break
						}
					}
				}
			}
		}
	}
}

// TestWalkWithoutPoints: nodes too light to have points are still a last resort.
func TestWalkWithoutPoints(t *testing.T) {
	nodes := equalNodes(4)
	for i, weight := range []int{1, 1, 100, 200} {
		nodes[i].Weight = weight
	}
	for _, s := range []Strategy{Ketama, Twemproxy} {
		r := mustNew(t, s, nodes...)
		for _, key := range someKeys(100) {
			walk := ids(r.Walk(key))
			if len(walk) != 4 || !slices.Equal(walk[2:], []string{"n1", "n2"}) {
				t.Errorf("%v, key %q: Walk yields %v, want n1 and n2 at the end", s, key, walk)
			}
			for n := range r.Walk(key) {
				if n.ID == "n1" {
					break // Go panics if Walk goes on
				}
			}
		}
	}
}

func TestRingNodes(t *testing.T) {
	given := []Node{{ID: "n2", Addr: "b:1", Weight: 3, HashAs: "x"}, {Addr: "a:1"}}
	want := []Node{{ID: "n2", Addr: "b:1", Weight: 3, HashAs: "x"}, {ID: "a:1", Addr: "a:1"}}
	for _, s := range strategies {
		r := mustNew(t, s, given...)
		if got := r.Nodes(); !slices.Equal(got, want) {
			t.Errorf("%v: Nodes = %v, want %v", s, got, want)
		}
		r.Nodes()[0].ID = "changed"
		if n, ok := r.Node("n2"); !ok || n != want[0] {
			t.Errorf("%v: Node(n2) = %v, %v after a change of the slice that Nodes returned, want %v", s, n, ok, want[0])
		}
		if n, ok := r.Node("a:1"); !ok || n != want[1] {
			t.Errorf("%v: Node(a:1) = %v, %v, want %v", s, n, ok, want[1])
		}
		if n, ok := r.Node("n1"); ok {
			t.Errorf("%v: Node(n1) = %v, want none", s, n)
		}
		if r.Strategy() != s {
			t.Errorf("Strategy = %v, want %v", r.Strategy(), s)
		}
	}
	if given[1].ID != "" {
		t.Errorf("New changed the caller's node to %v", given[1])
	}
}

// TestWithWithout: what With adds and Without removes is what New makes of that
// list, and the ring they are called on stays.
func TestWithWithout(t *testing.T) {
	nodes := equalNodes(5)
	for _, s := range strategies {
		four := mustNew(t, s, nodes[:4]...)
		five, err := four.With(nodes[4])
		if err != nil {
			t.Fatal(err)
		}
		again, err := five.Without("n5")
		if err != nil {
			t.Fatal(err)
		}
		want := mustNew(t, s, nodes...)
		for _, key := range someKeys(500) {
			if got := five.Locate(key); got != want.Locate(key) {
				t.Errorf("%v, key %q: With gives it to %v, New to %v", s, key, got.ID, want.Locate(key).ID)
			}
			if got := again.Locate(key); got != four.Locate(key) {
				t.Errorf("%v, key %q: With and Without give it to %v, before it was of %v", s, key, got.ID, four.Locate(key).ID)
			}
		}
		if len(four.Nodes()) != 4 || len(five.Nodes()) != 5 {
			t.Errorf("%v: With and Without changed their rings to %v and %v", s, four.Nodes(), five.Nodes())
		}
	}
}

func TestWithWithoutRefuse(t *testing.T) {
	one := mustNew(t, XXHash, equalNodes(1)...)
	tests := []struct {
		reason string
		change func() (*Ring, error)
		says   string
	}{
		{"removing what is not there", func() (*Ring, error) { return one.Without("n2") }, `no node "n2"`},
		{"removing from nothing", func() (*Ring, error) { return new(Ring).Without("n1") }, `no node "n1"`},
		{"removing the last node", func() (*Ring, error) { return one.Without("n1") }, `"n1" is the last`},
		{"adding an id again", func() (*Ring, error) { return one.With(Node{ID: "n1", Addr: "b:1"}) }, `same id "n1"`},
		{"adding an address again", func() (*Ring, error) { return one.With(Node{ID: "n2", Addr: "10.0.0.1:11211"}) }, "same address"},
		{"adding a node without address", func() (*Ring, error) { return one.With(Node{ID: "n2"}) }, "address is empty"},
	}
	for _, test := range tests {
		if r, err := test.change(); r != nil || err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, %v, want an error that says %s", test.reason, r, err, test.says)
		}
	}
}

// TestZeroRing: a Ring that New did not make has no nodes, and no key kills it.
func TestZeroRing(t *testing.T) {
	var r Ring
	if n := r.Locate("k"); n != (Node{}) {
		t.Errorf("Locate = %v, want the zero Node", n)
	}
	if got := ids(r.Walk("k")); got != nil {
		t.Errorf("Walk yields %v, want nothing", got)
	}
	if n, ok := r.Node(""); ok || len(r.Nodes()) > 0 {
		t.Errorf("Node = %v, Nodes = %v, want none", n, r.Nodes())
	}
	if d := Diff(&r, mustNew(t, XXHash, equalNodes(2)...)); d != 1 {
		t.Errorf("Diff to a ring with nodes = %v, want 1", d)
	}
	with, err := r.With(Node{ID: "n1", Addr: "a:1"})
	if err != nil || with.Locate("k").ID != "n1" {
		t.Errorf("With = %v, %v, want a ring of one node", with, err)
	}
}

// TestXXHashIsFrozen pins placements. If it fails, every program that is updated
// loses nearly all its keys, and disagrees with those that are not: do not change
// what it wants.
func TestXXHashIsFrozen(t *testing.T) {
	nodes := equalNodes(5)
	nodes[1].Weight = 3
	r := mustNew(t, XXHash, nodes...)
	for key, want := range map[string]string{"": "n3", "a": "n2", "session:1": "n3", "größe": "n1", "鍵": "n3"} {
		if got := r.Locate(key).ID; got != want {
			t.Errorf("key %q is on %s, want %s", key, got, want)
		}
	}
	var all strings.Builder
	for i := range 10_000 {
		fmt.Fprintln(&all, ids(r.Walk(fmt.Sprint("key", i))))
	}
	if got, want := xxhashKey(all.String()), uint32(0xbe9a6f8e); got != want {
		t.Errorf("the walks of 10,000 keys hash to %#x, want %#x", got, want)
	}
}

// TestXXHashGoesByID: neither another address nor another order moves a key.
func TestXXHashGoesByID(t *testing.T) {
	nodes := equalNodes(8)
	r := mustNew(t, XXHash, nodes...)
	moved := slices.Clone(nodes)
	for i := range moved {
		moved[i].Addr = fmt.Sprintf("/run/mc%d.sock", i)
		moved[i].HashAs = "ignored"
	}
	slices.Reverse(moved)
	other := mustNew(t, XXHash, moved...)
	for _, key := range someKeys(2000) {
		if got, want := ids(other.Walk(key)), ids(r.Walk(key)); !slices.Equal(got, want) {
			t.Errorf("key %q: %v with other addresses, want %v as before", key, got, want)
		}
	}
	if d := Diff(r, other); d != 0 {
		t.Errorf("Diff = %v, want 0", d)
	}
}

// TestLocateDoesNotAllocate, for every strategy and every length of a valid key.
func TestLocateDoesNotAllocate(t *testing.T) {
	keys := []string{"", strings.Repeat("k", 32), strings.Repeat("k", 250), strings.Repeat("ü", 125)}
	for _, s := range strategies {
		r := mustNew(t, s, equalNodes(20)...)
		for _, key := range keys {
			if n := testing.AllocsPerRun(100, func() { r.Locate(key) }); n != 0 {
				t.Errorf("%v, key of %d bytes: Locate allocates %v times", s, len(key), n)
			}
		}
	}
}

// TestHashedNames lists what the strategies hash, also where no vectors show it.
func TestHashedNames(t *testing.T) {
	const socket, ip6, mapped = "/run/mc.sock", "[fd00::1%eth0]:11211", "[::ffff:10.0.0.1]:11212"
	tests := []struct {
		strategy   Strategy
		addr, want string
	}{
		{Ketama, "Host:11211", "Host"},
		{Ketama, "Host:11212", "Host:11212"},
		{Ketama, "[fd00::1]:11212", "fd00::1:11212"},
		{Ketama, socket, "/run/mc.sock:0"},
		{Twemproxy, "Host:11211", "Host"},
		{Twemproxy, socket, "/run/mc.sock:"},
		{KetamaSpy, "Host:11211", "Host:11211"},
		{KetamaSpy, ip6, "[fd00:0:0:0:0:0:0:1%eth0]:11211"},
		{KetamaSpy, mapped, "10.0.0.1:11212"},
		{Rendezvous, "Host:11211", "Host:11211"},
		{Rendezvous, "[fd00::1]:11211", "fd00::1:11211"},
		{Rendezvous, socket, "/run/mc.sock"},
	}
	for _, test := range tests {
		n := Node{ID: "id", Addr: test.addr}
		a, err := parseAddress(n.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := test.strategy.hashedName(n, a); got != test.want {
			t.Errorf("%v hashes %s as %q, want %q", test.strategy, test.addr, got, test.want)
		}
		n.HashAs = "other"
		if got := test.strategy.hashedName(n, a); got != "other" {
			t.Errorf("%v hashes %s with HashAs %q as %q", test.strategy, test.addr, n.HashAs, got)
		}
	}
}

// TestPrecedence: who owns a place that two nodes share.
func TestPrecedence(t *testing.T) {
	nodes := []Node{{ID: "c", Addr: "bb:11211"}, {ID: "a", Addr: "z:11211"}, {ID: "b", Addr: "aa:11211"}}
	for s, want := range map[Strategy][]string{
		XXHash:     {"a", "b", "c"}, // by id
		Ketama:     {"c", "a", "b"}, // as given
		KetamaSpy:  {"b", "a", "c"}, // the last one given
		Twemproxy:  {"a", "b", "c"}, // shorter names first
		Rendezvous: {"a", "c", "b"}, // the greater name
	} {
		if got := ids(slices.Values(mustNew(t, s, nodes...).ranked)); !slices.Equal(got, want) {
			t.Errorf("%v ranks %v, want %v", s, got, want)
		}
	}
}

// TestRendezvousTie: murmur3 gives both nodes one score for this key.
func TestRendezvousTie(t *testing.T) {
	nodes := []Node{{Addr: "10.0.10.40:11211"}, {Addr: "10.0.4.52:11211"}}
	for range 2 {
		r := mustNew(t, Rendezvous, nodes...)
		got := ids(r.Walk("key4302"))
		if owner := r.Locate("key4302").ID; owner != "10.0.4.52:11211" || got[0] != owner {
			t.Errorf("Locate answers %s, Walk yields %v, want the greater name first", owner, got)
		}
		slices.Reverse(nodes)
	}
}

// TestPythonBytes: keys are text to pymemcache, and what is not text is what
// Python reads it as under surrogateescape.
func TestPythonBytes(t *testing.T) {
	for text, want := range map[string]string{
		"key":        "key",
		"größe":      "gr\xf6\xdfe",
		"鍵":          "\x75", // U+9375
		"\U0001f511": "\x11",
		"\xff\xc3k":  "\xff\xc3k",
		"\ufffd":     "\xfd",
	} {
		if got := string(pythonBytes(nil, text)); got != want {
			t.Errorf("pythonBytes(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestModulaLongKeys: gomemcache hashes the first 256 bytes of a key.
func TestModulaLongKeys(t *testing.T) {
	r, prefix := mustNew(t, Modula, equalNodes(50)...), strings.Repeat("k", 256)
	for _, tail := range someKeys(20) {
		if got, want := r.Locate(prefix+tail), r.Locate(prefix); got != want {
			t.Errorf("256 bytes and %q are on %s, want %s as without", tail, got.ID, want.ID)
		}
	}
}

// TestRingString: a ring in a log is a line, not all of its points.
func TestRingString(t *testing.T) {
	for want, r := range map[string]*Ring{
		"XXHash()":            new(Ring),
		"Ketama(n1, n2)":      mustNew(t, Ketama, equalNodes(2)...),
		"Modula(/run/a.sock)": mustNew(t, Modula, Node{Addr: "/run/a.sock"}),
	} {
		if got := fmt.Sprint(r); got != want {
			t.Errorf("the ring prints as %q, want %q", got, want)
		}
	}
}

// TestConcurrent: all goroutines may use one ring, also while others are made of
// it. The race detector finds what is written.
func TestConcurrent(t *testing.T) {
	extra := Node{ID: "extra", Addr: "extra:1"}
	for _, s := range strategies {
		r := mustNew(t, s, equalNodes(5)...)
		want := fmt.Sprint(ids(r.Walk("key")))
		var done sync.WaitGroup
		for range 4 {
			done.Go(func() {
				if _, err := r.With(extra); err != nil {
					t.Error(err)
				}
				if _, err := r.Without("n1"); err != nil {
					t.Error(err)
				}
				for _, key := range someKeys(50) {
					if owner := r.Locate(key); owner != slices.Collect(r.Walk(key))[0] {
						t.Errorf("%v, key %q: Walk does not begin with %v", r, key, owner)
					}
				}
			})
		}
		done.Wait()
		if got := fmt.Sprint(ids(r.Walk("key"))); got != want {
			t.Errorf("%v: Walk yields %v, want %v as before", r, got, want)
		}
	}
}

func TestStrategyString(t *testing.T) {
	for s, want := range map[Strategy]string{XXHash: "XXHash", Modula: "Modula", 200: "Strategy(200)"} {
		if got := s.String(); got != want {
			t.Errorf("Strategy %d is %q, want %q", uint8(s), got, want)
		}
	}
}
