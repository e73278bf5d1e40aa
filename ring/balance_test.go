package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// loads counts a million keys by node id.
func loads(r *Ring) map[string]int {
	counts := make(map[string]int, len(r.nodes))
	var text [24]byte
	for i := range int64(balanceKeys) {
		counts[r.Locate(string(strconv.AppendInt(append(text[:0], "key"...), i, 10))).ID]++
	}
	return counts
}

const balanceKeys = 1_000_000

// TestBalance: the busiest of equal nodes over the mean.
func TestBalance(t *testing.T) {
	for _, test := range []struct {
		nodes int
		limit float64
	}{{10, 1.08}, {100, 1.12}, {1000, 1.17}} {
		counts := loads(mustNew(t, XXHash, equalNodes(test.nodes)...))
		busiest := 0
		for _, count := range counts {
			busiest = max(busiest, count)
		}
		got := float64(busiest) / (balanceKeys / float64(test.nodes))
		t.Logf("%4d nodes: busiest/mean %.3f", test.nodes, got)
		if got > test.limit || len(counts) != test.nodes {
			t.Errorf("%d nodes: busiest/mean %.3f on %d nodes, want at most %.2f", test.nodes, got, len(counts), test.limit)
		}
	}
}

// TestWeights: every node's share of the keys is within 6 % of its share of the
// weights.
func TestWeights(t *testing.T) {
	for _, weights := range [][]int{{1, 2, 3, 10}, {1, 1, 2, 8, 13}, {5, 5, 5}, {1, 100}, {0, 2}} {
		nodes, total := equalNodes(len(weights)), 0
		for i, w := range weights {
			nodes[i].Weight = w
			total += max(w, 1)
		}
		counts := loads(mustNew(t, XXHash, nodes...))
		for _, n := range nodes {
			want := float64(n.weight()) / float64(total)
			if got := float64(counts[n.ID]) / balanceKeys; math.Abs(got/want-1) > 0.06 {
				t.Errorf("weights %v: %s has %.4f of the keys, want %.4f within 6 %%", weights, n.ID, got, want)
			}
		}
	}
}

// randomRing has up to maxNodes nodes, weighted if the strategy keeps moves
// minimal with weights.
func randomRing(t *testing.T, rng *rand.Rand, s Strategy, maxNodes int) *Ring {
	t.Helper()
	nodes := make([]Node, 2+rng.IntN(maxNodes-1))
	for i := range nodes {
		nodes[i] = Node{ID: fmt.Sprintf("n%x", rng.Uint64()), Addr: fmt.Sprintf("h%x:%d", rng.Uint64(), 1+rng.IntN(65535))}
		if s == XXHash {
			nodes[i].Weight = rng.IntN(6)
		}
	}
	return mustNew(t, s, nodes...)
}

// TestMinimalMovement: over random rings, removing a node moves only its keys,
// to the node that follows it in Walk, and adding it again moves only those back.
// KetamaSpy has a failover order of its own. Modula is not minimal.
func TestMinimalMovement(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, s := range []Strategy{XXHash, Ketama, KetamaSpy, Twemproxy, Rendezvous} {
		for range 12 {
			// From 25 nodes on, float32 can change the number of points of the ketamas.
			before := randomRing(t, rng, s, 20)
			gone := before.nodes[rng.IntN(len(before.nodes))]
			after, err := before.Without(gone.ID)
			if err != nil {
				t.Fatal(err)
			}
			back, err := after.With(gone)
			if err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				key := strconv.FormatUint(rng.Uint64(), 36)
				walk := ids(before.Walk(key))
				want := walk[0]
				if want == gone.ID {
					want = walk[1]
				}
				got := after.Locate(key).ID
				if s == KetamaSpy && walk[0] == gone.ID {
					want = got
				}
				if got != want {
					t.Fatalf("%v, %d nodes, without %s: key %q goes to %s, want %s", s, len(walk), gone.ID, key, got, want)
				}
				if got := back.Locate(key).ID; got != walk[0] {
					t.Fatalf("%v, %d nodes, %s back: key %q is on %s, want %s", s, len(walk), gone.ID, key, got, walk[0])
				}
				if s != KetamaSpy {
					rest := slices.DeleteFunc(walk, func(id string) bool { return id == gone.ID })
					if got := ids(after.Walk(key)); !slices.Equal(got, rest) {
						t.Fatalf("%v, without %s: key %q walks %v, want %v", s, gone.ID, key, got, rest)
					}
				}
			}
		}
	}
}

// TestDiff: the share that moves is the share of the node that comes or goes, of
// Modula nearly everything, and of a change that moves nothing 0.
func TestDiff(t *testing.T) {
	nodes := equalNodes(10)
	tests := []struct {
		reason    string
		a, b      *Ring
		want, tol float64
	}{
		{"the same", mustNew(t, XXHash, nodes...), mustNew(t, XXHash, nodes...), 0, 0},
		{"a tenth node", mustNew(t, XXHash, nodes[:9]...), mustNew(t, XXHash, nodes...), 0.1, 0.01},
		{"one node less", mustNew(t, XXHash, nodes...), mustNew(t, XXHash, nodes[1:]...), 0.1, 0.01},
		{"a tenth node of ketama", mustNew(t, Ketama, nodes[:9]...), mustNew(t, Ketama, nodes...), 0.1, 0.02},
		{"a tenth node of twemproxy", mustNew(t, Twemproxy, nodes[:9]...), mustNew(t, Twemproxy, nodes...), 0.1, 0.02},
		{"a tenth node of rendezvous", mustNew(t, Rendezvous, nodes[:9]...), mustNew(t, Rendezvous, nodes...), 0.1, 0.01},
		{"a tenth node of modula", mustNew(t, Modula, nodes[:9]...), mustNew(t, Modula, nodes...), 0.9, 0.01},
		{"another strategy", mustNew(t, Ketama, nodes...), mustNew(t, XXHash, nodes...), 0.9, 0.01},
		{"other nodes", mustNew(t, XXHash, nodes[:5]...), mustNew(t, XXHash, nodes[5:]...), 1, 0},
	}
	for _, test := range tests {
		if got := Diff(test.a, test.b); math.Abs(got-test.want) > test.tol {
			t.Errorf("%s: Diff = %.4f, want %.2f within %.2f", test.reason, got, test.want, test.tol)
		}
	}
}

// TestMemory: a ring of 1,000 nodes keeps at most 24 MB, and weights cannot ask
// for more than their limit allows.
func TestMemory(t *testing.T) {
	if got := keptBytes(t, XXHash, equalNodes(1000)); got > 24e6 {
		t.Errorf("a ring of 1,000 nodes keeps %.1f MB, want at most 24", float64(got)/1e6)
	}
	heavy := equalNodes(3)
	for i := range heavy {
		heavy[i].Weight = maxWeight
	}
	for _, s := range []Strategy{Ketama, KetamaSpy, Twemproxy, Rendezvous, Modula} {
		if got := keptBytes(t, s, heavy); got > 1e6 {
			t.Errorf("%v: three nodes of the greatest weight keep %d bytes, want at most 1 MB", s, got)
		}
	}
}
