package ring

import (
	"fmt"
	"iter"
	"slices"
	"testing"
)

func equalNodes(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{ID: fmt.Sprintf("n%d", i+1), Addr: fmt.Sprintf("10.0.%d.%d:11211", i/250, i%250)}
	}
	return nodes
}

func ids(nodes iter.Seq[Node]) []string {
	var list []string
	for n := range nodes {
		list = append(list, n.ID)
	}
	return list
}

func TestWalkYieldsEveryNodeOnce(t *testing.T) {
	r, err := New(XXHash, equalNodes(7)...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		key := fmt.Sprint("key", i)
		walk := slices.Collect(r.Walk(key))
		if len(walk) != 7 || walk[0] != r.Locate(key) {
			t.Fatalf("key %q: Walk yields %v, Locate answers %v", key, walk, r.Locate(key))
		}
	}
}
