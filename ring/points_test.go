package ring

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTable compares tables with a search of the sorted points one by one.
func TestTable(t *testing.T) {
	anywhere := func(rng *rand.Rand) uint32 { return rng.Uint32() }
	tests := []struct {
		name, reason string
		nodes, each  int
		place        func(rng *rand.Rand) uint32
	}{
		{"one point", "every hash is its", 1, 1, anywhere},
		{"one node", "ranks have no bits", 1, 500, anywhere},
		{"two nodes", "ranks have one bit", 2, 100, anywhere},
		{"many nodes, few points", "there must be as many lines as ranks", 300, 1, anywhere},
		{"usual", "lines of all lengths, some of which spill", 20, 500, anywhere},
		{"all at one place", "the lower rank owns it, and one line spills them all", 40, 2, func(*rand.Rand) uint32 { return 1 << 31 }},
		{"at both ends", "before the first and after the last", 9, 3, func(rng *rand.Rand) uint32 { return -rng.Uint32N(2) }},
		{"crowded", "one line has nearly all", 10, 100, func(rng *rand.Rand) uint32 { return rng.Uint32N(200) }},
		{"crowded at the end", "what spills goes round to the first point", 10, 100, func(rng *rand.Rand) uint32 { return -rng.Uint32N(200) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			var points []point
			for rank := range test.nodes {
				for range test.each {
					points = append(points, newPoint(test.place(rng), rank))
				}
			}
			want := slices.Sorted(slices.Values(points))
			sortPoints(points)
			if !slices.Equal(points, want) {
				t.Fatalf("sortPoints disagrees with slices.Sort")
			}
			table := newTable(points, test.nodes)
			hashes := []uint32{0, 1, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1<<32 - 2, 1<<32 - 1}
			for range 2000 {
				p := points[rng.IntN(len(points))].place()
				hashes = append(hashes, rng.Uint32(), p-1, p, p+1)
			}
			for i, hash := range hashes {
				checkOwner(t, &table, points, hash)
				if i < 100 {
					checkWalk(t, &table, points, hash)
				}
			}
		})
	}
}

func checkOwner(t *testing.T, table *table, points []point, hash uint32) {
	t.Helper()
	i, _ := slices.BinarySearch(points, newPoint(hash, 0))
	if got, want := table.owner(hash), points[i%len(points)].rank(); got != want {
		t.Fatalf("hash %d: owner %d, want %d", hash, got, want)
	}
}

// checkWalk checks in which order the nodes first come after a hash.
func checkWalk(t *testing.T, table *table, points []point, hash uint32) {
	t.Helper()
	var got, want []uint32
	if !table.walk(hash, func(rank uint32) bool { got = append(got, rank); return true }) {
		t.Fatalf("hash %d: walk stopped by itself", hash)
	}
	i, _ := slices.BinarySearch(points, newPoint(hash, 0))
	for _, p := range slices.Concat(points[i:], points[:i]) {
		want = append(want, p.rank())
	}
	if got, want := firsts(got), firsts(want); !slices.Equal(got, want) {
		t.Fatalf("hash %d: walk visits %v, want %v", hash, got, want)
	}
}

// firsts returns the different ranks by first appearance.
func firsts(ranks []uint32) []uint32 {
	var list []uint32
	for _, rank := range ranks {
		if !slices.Contains(list, rank) {
			list = append(list, rank)
		}
	}
	return list
}
