package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/ring"
)

func Example() {
	server := memcachetest.NewServer() // in production: memcached
	defer server.Close()

	c, err := memcache.New(memcache.Config{Nodes: "n1:" + server.Addr()})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()

	err = c.Set(ctx, &memcache.Item{Key: "greeting", Value: []byte("hello"), TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	item, err := c.Get(ctx, "greeting")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", item.Value)

	_, err = c.Get(ctx, "farewell")
	fmt.Println(err == memcache.ErrMiss)
	// Output:
	// hello
	// true
}

// exampleClient returns a client of a fresh server, and what ends both.
func exampleClient() (*memcache.Client, func()) {
	server := memcachetest.NewServer()
	c, err := memcache.New(memcache.Config{Nodes: "n1:" + server.Addr()})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() { c.Close(); server.Close() }
}

func ExampleConfig() {
	// Weights, and the placement of another client whose items are to be found.
	r, err := ring.New(ring.XXHash,
		ring.Node{ID: "small", Addr: "10.0.0.1:11211"},
		ring.Node{ID: "large", Addr: "10.0.0.2:11211", Weight: 4})
	if err != nil {
		log.Fatal(err)
	}
	c, err := memcache.New(memcache.Config{
		Ring:     r,
		Timeout:  200 * time.Millisecond,
		Failover: memcache.NextNode,
		Observe: func(ctx context.Context, op memcache.Operation) {
			log.Println(op.Name, op.Node, op.Duration, op.Err)
		},
	})
	fmt.Println(c.Ring().Nodes()[1].Addr, err)
	c.Close()
	// Output: 10.0.0.2:11211 <nil>
}

func ExampleClient_GetInto() {
	c, end := exampleClient()
	defer end()
	ctx := context.Background()
	buf := make([]byte, 0, 4096) // used again and again
	for i := range 3 {
		key := fmt.Sprintf("key-%d", i)
		c.Set(ctx, &memcache.Item{Key: key, Value: []byte(key)})
		item, err := c.GetInto(ctx, key, buf)
		fmt.Printf("%s %v\n", item.Value, err)
	}
	// Output:
	// key-0 <nil>
	// key-1 <nil>
	// key-2 <nil>
}

// A change that loses nobody else's.
func ExampleClient_CompareAndSwap() {
	c, end := exampleClient()
	defer end()
	ctx := context.Background()
	c.Set(ctx, &memcache.Item{Key: "list", Value: []byte("one")})

	for {
		item, err := c.Get(ctx, "list")
		if err != nil {
			log.Fatal(err)
		}
		item.Value = append(item.Value, ", two"...)
		err = c.CompareAndSwap(ctx, &item)
		if err == memcache.ErrCASConflict {
			continue // somebody was faster: read again
		}
		fmt.Printf("%s %v\n", item.Value, err)
		break
	}
	// Output: one, two <nil>
}

// A lock that only its owner can release, even after a restart of the server.
func ExampleClient_CompareAndDelete() {
	c, end := exampleClient()
	defer end()
	ctx := context.Background()
	lock := &memcache.Item{Key: "lock", Value: []byte("mine"), TTL: 5 * time.Second}
	fmt.Println("locked:", c.Add(ctx, lock))
	fmt.Println("again:", c.Add(ctx, &memcache.Item{Key: "lock", TTL: 5 * time.Second}))
	fmt.Println("released:", c.CompareAndDelete(ctx, lock))
	// Output:
	// locked: <nil>
	// again: memcache: not stored
	// released: <nil>
}

func ExampleClient_GetAndTouch() {
	c, end := exampleClient()
	defer end()
	ctx := context.Background()
	c.Set(ctx, &memcache.Item{Key: "session", Value: []byte("data"), TTL: time.Minute})
	item, err := c.GetAndTouch(ctx, "session", time.Hour)
	fmt.Printf("%s, expired in %v otherwise, %v\n", item.Value, item.Left, err)
	// Output: data, expired in 1m0s otherwise, <nil>
}

func ExampleClient_GetMulti() {
	c, end := exampleClient()
	defer end()
	ctx := context.Background()
	c.SetMulti(ctx, []*memcache.Item{
		{Key: "one", Value: []byte("1")},
		{Key: "two", Value: []byte("2")},
	})
	found, err := c.GetMulti(ctx, []string{"one", "two", "three", "not a key"})
	fmt.Printf("%d found, %s, %s\n", len(found), found["one"].Value, found["two"].Value)
	var failed *memcache.MultiError
	if errors.As(err, &failed) {
		fmt.Println(failed.Errs["not a key"])
	}
	// Output:
	// 2 found, 1, 2
	// memcache: key must be 1 to 250 bytes without blanks and control characters
}

func ExampleClient_IncrementOr() {
	c, end := exampleClient()
	defer end()
	for range 3 {
		visits, err := c.IncrementOr(context.Background(), "visits", 1, 1, 24*time.Hour)
		fmt.Println(visits, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

func ExampleClient_On() {
	c, end := exampleClient()
	defer end()
	ctx := context.Background()
	n1 := c.On("n1")
	fmt.Println(n1.Touch(ctx, "key", time.Minute))
	fmt.Println(c.On("n9").Touch(ctx, "key", time.Minute))
	// Output:
	// memcache: no such item
	// memcache: no such node
}

func ExampleClient_SetRing() {
	c, end := exampleClient()
	defer end()
	larger, err := c.Ring().With(ring.Node{ID: "n2", Addr: "10.0.0.2:11211"})
	if err == nil {
		err = c.SetRing(larger) // requests may be running
	}
	fmt.Println(len(c.Ring().Nodes()), err)
	// Output: 2 <nil>
}

func ExampleOpError() {
	c, err := memcache.New(memcache.Config{Nodes: "n1:127.0.0.1:1"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Get(context.Background(), "key")
	var failure *memcache.OpError
	if errors.As(err, &failure) {
		fmt.Println(failure.Op, failure.Node, errors.Is(err, memcache.ErrNodeDown))
	}
	// Output: Get n1 true
}

func ExampleClient_Stats() {
	c, end := exampleClient()
	defer end()
	c.Get(context.Background(), "key")
	for _, n := range c.Stats().Nodes {
		fmt.Println(n.ID, n.Up, n.Hits, n.Misses, n.Errors())
	}
	// Output: n1 true 0 1 0
}

func ExampleItem() {
	c, end := exampleClient()
	defer end()
	ctx := context.Background()
	item := &memcache.Item{Key: "key", Value: []byte("value"), Flags: 42, TTL: 10 * time.Minute}
	if err := c.Set(ctx, item); err != nil {
		log.Fatal(err)
	}
	found, err := c.Get(ctx, "key")
	fmt.Println(string(found.Value), found.Flags, found.CAS == item.CAS, err)
	// Output: value 42 true <nil>
}

func ExampleProtocol() {
	server := memcachetest.NewServer()
	defer server.Close()
	for _, p := range []memcache.Protocol{memcache.Text, memcache.Classic, memcache.Meta, memcache.Binary} {
		c, err := memcache.New(memcache.Config{Nodes: server.Addr(), Protocol: p})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.DeleteCAS(context.Background(), "key", 1))
		c.Close()
	}
	// Output:
	// memcache: no such item
	// memcache: operation not supported by this protocol
	// memcache: no such item
	// memcache: no such item
}

func ExampleFailover() {
	server := memcachetest.NewServer()
	defer server.Close()
	c, err := memcache.New(memcache.Config{
		Nodes:    "n1:" + server.Addr() + ",n2:127.0.0.1:1", // n2 is down
		Failover: memcache.NextNode,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for i := range 100 {
		err = errors.Join(err, c.Set(context.Background(), &memcache.Item{Key: fmt.Sprint("key-", i)}))
	}
	fmt.Println(err)
	// Output: <nil>
}

func ExampleOperation() {
	server := memcachetest.NewServer()
	defer server.Close()
	var hits, misses int // a service would count in atomics, or in its metrics library
	c, err := memcache.New(memcache.Config{
		Nodes: "n1:" + server.Addr(),
		Observe: func(_ context.Context, op memcache.Operation) {
			switch {
			case op.Name == "Get" && op.Err == nil:
				hits++
			case op.Name == "Get" && op.Err == memcache.ErrMiss:
				misses++
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.Set(context.Background(), &memcache.Item{Key: "key"})
	c.Get(context.Background(), "key")
	c.Get(context.Background(), "absent")
	fmt.Println(hits, misses)
	// Output: 1 1
}

func ExampleServerError() {
	server := memcachetest.NewServer()
	defer server.Close()
	c, err := memcache.New(memcache.Config{Nodes: server.Addr()})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.Ping(context.Background())
	server.SetFault(memcachetest.Fault{Fail: "SERVER_ERROR out of memory storing object"})
	err = c.Set(context.Background(), &memcache.Item{Key: "key"})
	var said *memcache.ServerError
	if errors.As(err, &said) {
		fmt.Println(said.Line)
	}
	// Output: SERVER_ERROR out of memory storing object
}

func ExampleMultiError() {
	server := memcachetest.NewServer()
	defer server.Close()
	c, err := memcache.New(memcache.Config{Nodes: "n1:" + server.Addr() + ",n2:127.0.0.1:1"}) // n2 is down
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	err = c.Ping(context.Background())
	var failed *memcache.MultiError
	if errors.As(err, &failed) {
		for node, err := range failed.Errs {
			fmt.Println(node, errors.Is(err, memcache.ErrNodeDown))
		}
	}
	// Output: n2 true
}

func ExampleNodeStats() {
	c, end := exampleClient()
	defer end()
	ctx := context.Background()
	c.Set(ctx, &memcache.Item{Key: "key", Value: []byte("value")})
	for range 3 {
		c.Get(ctx, "key")
	}
	c.Get(ctx, "absent")
	n := c.Stats().Nodes[0]
	fmt.Printf("%d operations, %d of %d found, %d bytes\n", n.Ops(), n.Hits, n.Hits+n.Misses, n.BytesRead)
	// Output: 5 operations, 3 of 4 found, 15 bytes
}
