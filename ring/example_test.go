package ring_test

import (
	"fmt"
	"log"

	"github.com/seed99545744/msm/ring"
)

// newRing is New over a list as ParseNodes reads it.
func newRing(list string) *ring.Ring {
	nodes, err := ring.ParseNodes(list)
	if err != nil {
		log.Fatal(err)
	}
	r, err := ring.New(ring.XXHash, nodes...)
	if err != nil {
		log.Fatal(err)
	}
	return r
}

func ExampleRing_Locate() {
	nodes, err := ring.ParseNodes("n1:10.0.0.1:11211, n2:10.0.0.2:11211, n3:10.0.0.3:11211")
	if err != nil {
		log.Fatal(err)
	}
	r, err := ring.New(ring.XXHash, nodes...)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"user:1", "user:2", "user:3"} {
		fmt.Println(key, "is on", r.Locate(key).ID)
	}
	// Output:
	// user:1 is on n2
	// user:2 is on n1
	// user:3 is on n1
}

func ExampleParseNodes() {
	nodes, err := ring.ParseNodes("n1:localhost:11211 n2:[::1]:11212, n3:/run/memcached.sock")
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range nodes {
		fmt.Println(n.ID, n.Addr)
	}
	_, err = ring.ParseNodes("n1:localhost:11211,n2:localhost")
	fmt.Println(err)
	// Output:
	// n1 localhost:11211
	// n2 [::1]:11212
	// n3 /run/memcached.sock
	// ring: node "n2:localhost": port "localhost" is not a number from 1 to 65535; write host:port or id:host:port
}

// The servers of a PHP application with OPT_LIBKETAMA_COMPATIBLE: what it stored
// is found where it is.
func ExampleNew() {
	r, err := ring.New(ring.Ketama,
		ring.Node{ID: "small", Addr: "10.0.0.1:11211"},
		ring.Node{ID: "large", Addr: "10.0.0.2:11211", Weight: 4},
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Strategy(), r.Locate("user:1").ID)
	// Output:
	// Ketama large
}

// Servers that twemproxy has by name, and that a Java client has by host name.
func ExampleNew_hashAs() {
	proxy, err := ring.New(ring.Twemproxy,
		ring.Node{ID: "n1", Addr: "10.0.0.1:11211", HashAs: "cache-a"}, // "10.0.0.1:11211:1 cache-a"
		ring.Node{ID: "n2", Addr: "10.0.0.2:11211", HashAs: "cache-b"},
	)
	if err != nil {
		log.Fatal(err)
	}
	java, err := ring.New(ring.KetamaSpy,
		ring.Node{ID: "n1", Addr: "mc1:11211", HashAs: "mc1/10.0.0.1:11211"},
		ring.Node{ID: "n2", Addr: "mc2:11211", HashAs: "mc2/10.0.0.2:11211"},
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(proxy.Locate("user:1").ID, java.Locate("user:1").ID)
	// Output:
	// n2 n2
}

// The node to ask is the first one that is up.
func ExampleRing_Walk() {
	r := newRing("n1:10.0.0.1:11211,n2:10.0.0.2:11211,n3:10.0.0.3:11211")
	down := map[string]bool{"n1": true}
	for n := range r.Walk("user:2") {
		if !down[n.ID] {
			fmt.Println("ask", n.ID)
			break
		}
		fmt.Println(n.ID, "is down")
	}
	// Output:
	// n1 is down
	// ask n2
}

// Session ids carry the id of a node: this is the way back.
func ExampleRing_Node() {
	r := newRing("n1:10.0.0.1:11211,n2:10.0.0.2:11211")
	n, ok := r.Node("n2")
	fmt.Println(n.Addr, ok)
	// Output:
	// 10.0.0.2:11211 true
}

// While a node is down, its keys are where they will be without it, and those of
// the others have not moved.
func ExampleRing_Without() {
	r := newRing("n1:10.0.0.1:11211,n2:10.0.0.2:11211,n3:10.0.0.3:11211")
	less, err := r.Without("n1")
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"user:1", "user:2", "user:3"} {
		fmt.Println(key, r.Locate(key).ID, "->", less.Locate(key).ID)
	}
	// Output:
	// user:1 n2 -> n2
	// user:2 n1 -> n2
	// user:3 n1 -> n3
}

// A ring never changes; With makes another one, to which keys move from all.
func ExampleRing_With() {
	r := newRing("n1:10.0.0.1:11211,n2:10.0.0.2:11211")
	more, err := r.With(ring.Node{ID: "n3", Addr: "10.0.0.3:11211"})
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"user:1", "user:3", "user:7", "user:8"} {
		fmt.Println(key, r.Locate(key).ID, "->", more.Locate(key).ID)
	}
	// Output:
	// user:1 n2 -> n2
	// user:3 n1 -> n1
	// user:7 n2 -> n3
	// user:8 n1 -> n1
}

// What will a fifth server cost, as large as the others or twice as large? Each
// key that moves is one miss.
func ExampleDiff() {
	now := newRing("n1:10.0.0.1:11211,n2:10.0.0.2:11211,n3:10.0.0.3:11211,n4:10.0.0.4:11211")
	for _, weight := range []int{1, 2} {
		next, err := now.With(ring.Node{ID: "n5", Addr: "10.0.0.5:11211", Weight: weight})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("weight %d moves %.0f %% of the keys\n", weight, 100*ring.Diff(now, next))
	}
	// Output:
	// weight 1 moves 20 % of the keys
	// weight 2 moves 33 % of the keys
}
