package ring

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// FuzzRing makes rings of any nodes and looks up any key: Locate is the first of
// Walk, Walk yields every node once, and what ParseNodes takes, New takes.
// The first node gets the weight, and the last one hashAs.
func FuzzRing(f *testing.F) {
	f.Add("n1:localhost:11211,n2:[::1]:11211 /run/mc.sock", "", 0, "key")
	f.Add("a:1 b:2 c:3 d:4 e:5", "name", 100, "größe")
	f.Add("[1::2]:3 [1::2:3]:11211", "", -1, "\xff")
	f.Add("a:1", "a:1", math.MaxInt, strings.Repeat("k", 300))
	f.Fuzz(func(t *testing.T, list, hashAs string, weight int, key string) {
		nodes, err := ParseNodes(list)
		parsed := err == nil && hashAs == "" && weight == 0
		if err != nil { // a list that New must judge by itself
			for _, text := range strings.Split(list, ",") {
				id, addr, _ := strings.Cut(text, "=")
				nodes = append(nodes, Node{ID: id, Addr: addr})
			}
		}
		if len(nodes) > 16 || weight > 16 && weight <= maxTotalWeight {
			return // allowed, but too slow to try many
		}
		nodes[0].Weight = weight
		nodes[len(nodes)-1].HashAs = hashAs
		for _, s := range strategies {
			r, err := New(s, nodes...)
			if err == nil {
				checkRing(t, r, len(nodes), key)
			} else if parsed && !strings.Contains(err.Error(), "are both hashed as") {
				t.Fatalf("%v: New refuses what ParseNodes read from %q: %v", s, list, err)
			}
		}
	})
}

func checkRing(t *testing.T, r *Ring, n int, key string) {
	t.Helper()
	owner, walk := r.Locate(key), slices.Collect(r.Walk(key))
	if len(walk) != n || walk[0] != owner {
		t.Fatalf("%v, key %q: Walk yields %v, want %d nodes and %v first", r.strategy, key, walk, n, owner)
	}
	seen := map[string]bool{}
	for _, node := range walk {
		if got, ok := r.Node(node.ID); !ok || got != node || seen[node.ID] {
			t.Fatalf("%v, key %q: Walk yields %v, and %v is not a node or there twice", r.strategy, key, walk, node)
		}
		seen[node.ID] = true
	}
	if n == 1 || r.strategy != XXHash {
		return
	}
	less, err := r.Without(owner.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(less.Walk(key)); !slices.Equal(got, ids(slices.Values(walk[1:]))) {
		t.Fatalf("key %q: without %s Walk yields %v, want what remains of %v", key, owner.ID, got, walk)
	}
}
