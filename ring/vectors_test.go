package ring

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vectors is what one real client answered for one list of servers; the README
// beside the files explains the fields.
type vectors struct {
	Servers []struct {
		Host   string
		Port   int
		Weight int
		Name   string
	}
	Keys            []string
	Expect          []int
	KeyHash         []uint32    `json:"key_hash"`
	PointsTotal     int         `json:"points_total"`
	PointsPerServer []int       `json:"points_per_server"`
	PointsSample    [][2]uint32 `json:"points_sample"`
	PointsLast      [][2]uint32 `json:"points_last"`
	FailoverOrder   [][]int     `json:"failover_order"`
	Extra           struct {
		SocketAddresses []string `json:"socket_addresses"`
	}
}

// vectorStrategies maps the implementation in a file's name to the strategy that
// stands for it, with the number of keys that its files hold, and of those that
// come with a failover order.
var vectorStrategies = []struct {
	prefix       string
	strategy     Strategy
	keys, orders int
}{
	{"go-gomemcache", Modula, 1080, 0},
	{"libmemcached-ketama_weighted", Ketama, 1688, 0},
	{"php-memcached-libketama", Ketama, 1688, 0},
	{"pymemcache-rendezvous", Rendezvous, 1440, 1260},
	{"spymemcached-ketama", KetamaSpy, 1328, 1328},
	{"twemproxy-ketama-fnv1a_64", Twemproxy, 1640, 0},
	{"twemproxy-ketama-fnv1a_64-named", Twemproxy, 720, 0},
}

func readVectors(t *testing.T, file string) vectors {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// nodes are the servers as someone would configure them here. Ids say nothing
// about addresses, so that no strategy can go by the wrong one.
func (v *vectors) nodes() []Node {
	nodes := make([]Node, len(v.Servers))
	for i, s := range v.Servers {
		n := Node{ID: "id" + strconv.Itoa(i), Addr: s.Host, Weight: s.Weight, HashAs: s.Name}
		if s.Port != 0 {
			n.Addr = net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
		}
		if i < len(v.Extra.SocketAddresses) && !strings.HasPrefix(v.Extra.SocketAddresses[i], "/") {
			n.HashAs = v.Extra.SocketAddresses[i]
		}
		nodes[i] = n
	}
	return nodes
}

// TestVectors checks every answer of the real clients: owners, failover orders,
// hashes of keys and points. It logs how many keys each strategy was checked on.
func TestVectors(t *testing.T) {
	checked, checkedOrders := map[Strategy]int{}, map[Strategy]int{}
	for _, c := range vectorStrategies {
		files, err := filepath.Glob(filepath.Join("testdata", "vectors", c.prefix+"__*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no vectors of %s: %v", c.prefix, err)
		}
		keys, orders := 0, 0
		for _, file := range files {
			v := readVectors(t, file)
			keys += len(v.Keys)
			orders += len(v.FailoverOrder)
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { checkVectors(t, c.strategy, v) })
		}
		if keys != c.keys || orders != c.orders {
			t.Errorf("%s: checked %d keys and %d failover orders, want %d and %d: vectors are missing or new",
				c.prefix, keys, orders, c.keys, c.orders)
		}
		checked[c.strategy] += keys
		checkedOrders[c.strategy] += orders
	}
	for s := Ketama; s <= Modula; s++ {
		t.Logf("%-10v %5d keys, %5d failover orders", s, checked[s], checkedOrders[s])
	}
}

func checkVectors(t *testing.T, s Strategy, v vectors) {
	nodes := v.nodes()
	r, err := New(s, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range v.Keys {
		if got, want := r.Locate(key), nodes[v.Expect[i]]; got != want {
			t.Errorf("key %q: Locate answers %s, want %s", key, got.ID, want.ID)
		}
		if v.FailoverOrder != nil {
			checkFailover(t, r, key, v.FailoverOrder[i])
		}
		if v.PointsTotal > 0 && v.KeyHash != nil && s.hash(key) != v.KeyHash[i] {
			t.Errorf("key %q: hash %d, want %d", key, s.hash(key), v.KeyHash[i])
		}
	}
	if v.PointsTotal > 0 {
		checkPoints(t, r, v)
	}
}

// TestVectorsRemoval: removing the fourth of eight servers gives what the client
// answered for the list without it, as ejecting a server does in libmemcached and
// twemproxy. Where Walk goes clockwise, or by score, its keys go to the next node.
func TestVectorsRemoval(t *testing.T) {
	const removed = "id3"
	for _, c := range vectorStrategies {
		if c.prefix == "twemproxy-ketama-fnv1a_64-named" {
			continue // has no list without the fourth
		}
		file := filepath.Join("testdata", "vectors", c.prefix+"__eight")
		eight, seven := readVectors(t, file+".json"), readVectors(t, file+"-less-one.json")
		r := mustNew(t, c.strategy, eight.nodes()...)
		less, err := r.Without(removed)
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range seven.Keys {
			got, want := less.Locate(key).Addr, seven.nodes()[seven.Expect[i]].Addr
			if got != want {
				t.Errorf("%s, key %q: without %s it is on %s, want %s", c.prefix, key, removed, got, want)
			}
			walk := slices.Collect(r.Walk(key))
			if walk[0].ID == removed && c.strategy != KetamaSpy && c.strategy != Modula && walk[1].Addr != want {
				t.Errorf("%s, key %q: Walk goes on to %s, want %s", c.prefix, key, walk[1].Addr, want)
			}
		}
	}
}

// checkFailover compares Walk with the nodes that the client tried, by their
// first appearance. A client that gave up before the last node leaves the others
// to us, in any order.
func checkFailover(t *testing.T, r *Ring, key string, tried []int) {
	t.Helper()
	var want []string
	for _, i := range tried {
		if id := r.nodes[i].ID; !slices.Contains(want, id) {
			want = append(want, id)
		}
	}
	got := ids(r.Walk(key))
	if len(got) != len(r.nodes) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("key %q: Walk yields %v, want all of %d nodes and %v first", key, got, len(r.nodes), want)
	}
}

// checkPoints compares the points of a ring with what its file tells of them.
func checkPoints(t *testing.T, r *Ring, v vectors) {
	t.Helper()
	counts, total := map[string]int{}, 0
	for _, p := range pointsOf(t, r) {
		// spymemcached keeps its points in a map: of two at one place it has one.
		if r.strategy != KetamaSpy || r.points.owner(p.place()) == p.rank() {
			counts[r.ranked[p.rank()].ID]++
			total++
		}
	}
	if total != v.PointsTotal {
		t.Errorf("the ring has %d points, want %d", total, v.PointsTotal)
	}
	for i, want := range v.PointsPerServer {
		if got := counts[r.nodes[i].ID]; got != want {
			t.Errorf("node %s has %d points, want %d", r.nodes[i].ID, got, want)
		}
	}
	for _, p := range slices.Concat(v.PointsSample, v.PointsLast) {
		place, want := p[0], r.nodes[p[1]].ID
		if got := r.ranked[r.points.owner(place)].ID; got != want {
			t.Errorf("the point at %d belongs to %s, want %s", place, got, want)
		}
	}
}

// pointsOf returns the points that the table of r was made of.
func pointsOf(t *testing.T, r *Ring) []point {
	t.Helper()
	addrs, err := prepare(r.Nodes())
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.strategy.rank(r.nodes, addrs)
	if err != nil {
		t.Fatal(err)
	}
	points, err := r.strategy.points(list)
	if err != nil {
		t.Fatal(err)
	}
	return points
}
