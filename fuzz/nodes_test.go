package fuzz

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed99545744/msm/ring"
)

// FuzzNodes parses any node list. What is accepted can be written down and read
// again, and makes a ring.
func FuzzNodes(f *testing.F) {
	for _, s := range []string{
		"n1:localhost:11211,n2:localhost:11212", "localhost:11211", "n1:a:1 n2:b:2\tn3:c:3,", "n1:[::1]:11211", "[fd00::1]:11211",
		"n1:/run/mc.sock", "/run/mc.sock", "", ",", "n1:", "n1:a:0", "n1:a:65536", "n1:a:1,n1:b:1", "n1:a:1,n2:a:1", "n-1:a:1", "n1:[::1%eth0]:1", "ü:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		nodes, err := ring.ParseNodes(s)
		if err != nil {
			return
		}
		var again []string
		for _, n := range nodes {
			if n.ID == n.Addr {
				again = append(again, n.Addr)
			} else {
				again = append(again, n.ID+":"+n.Addr)
			}
		}
		got, err := ring.ParseNodes(strings.Join(again, ","))
		if err != nil || !reflect.DeepEqual(got, nodes) {
			t.Errorf("%q gives %+v; written as %q: got %+v, %v", s, nodes, again, got, err)
		}
		if len(nodes) > 20 {
			return // a ring of many nodes takes long to build
		}
		r, err := ring.New(ring.XXHash, nodes...)
		if err != nil {
			t.Fatalf("ParseNodes accepts %q, New does not: %v", s, err)
		}
		if n := r.Locate("key"); !reflect.DeepEqual(r.Nodes(), nodes) || !slices.Contains(nodes, n) {
			t.Errorf("%q: the ring has %+v, want %+v; the key is on %+v", s, r.Nodes(), nodes, n)
		}
	})
}
