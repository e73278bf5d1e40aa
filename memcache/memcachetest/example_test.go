package memcachetest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// newClient stands for the code that a test is about.
func newClient(cfg memcache.Config) *memcache.Client {
	c, err := memcache.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// A test starts a server, gives its address to the code under test, and may look
// at what became of it.
func Example() {
	ctx := context.Background()
	server := memcachetest.NewServer()
	defer server.Close()

	client := newClient(memcache.Config{Nodes: server.Addr()})
	defer client.Close()
	if err := client.Set(ctx, &memcache.Item{Key: "greeting", Value: []byte("hello"), TTL: time.Hour}); err != nil {
		log.Fatal(err)
	}

	item, ok := server.Get("greeting")
	fmt.Printf("%s %v, for %v\n", item.Value, ok, time.Until(item.Expires).Round(time.Minute))
	// Output: hello true, for 1h0m0s
}

// A node that dies, and comes back at its address without what it held.
func ExampleStart() {
	ctx := context.Background()
	server := memcachetest.NewServer()
	client := newClient(memcache.Config{Nodes: server.Addr()})
	defer client.Close()
	if err := client.Set(ctx, &memcache.Item{Key: "k", Value: []byte("v")}); err != nil {
		log.Fatal(err)
	}

	server.Close()
	_, err := client.Get(ctx, "k")
	fmt.Println("closed:", errors.Is(err, memcache.ErrNodeDown))

	server, err = memcachetest.Start(server.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	if err := client.Reach(ctx); err != nil { // operations would find out, but only after a while
		log.Fatal(err)
	}
	_, err = client.Get(ctx, "k")
	fmt.Println("back, and empty:", errors.Is(err, memcache.ErrMiss))
	// Output:
	// closed: true
	// back, and empty: true
}

// A server that refuses every command, then one that takes them and never
// answers: does the code under test give up in time?
func ExampleServer_SetFault() {
	ctx := context.Background()
	server := memcachetest.NewServer()
	defer server.Close()
	client := newClient(memcache.Config{Nodes: server.Addr(), Timeout: 50 * time.Millisecond})
	defer client.Close()
	fmt.Println("healthy:", client.Ping(ctx))

	server.SetFault(memcachetest.Fault{Fail: "SERVER_ERROR out of memory"})
	_, err := client.Get(ctx, "k")
	var refusal *memcache.ServerError
	fmt.Println("failing:", errors.As(err, &refusal))

	server.SetFault(memcachetest.Fault{Hang: true})
	_, err = client.Get(ctx, "k")
	fmt.Println("hanging:", errors.Is(err, context.DeadlineExceeded))
	// Output:
	// healthy: <nil>
	// failing: true
	// hanging: true
}

// No socket, no port; inside a testing/synctest bubble time.Sleep and the
// expiry of items take no time at all.
func ExampleNewMemServer() {
	server := memcachetest.NewMemServer()
	defer server.Close()
	client := newClient(memcache.Config{Nodes: server.Addr(), DialContext: server.DialContext})
	defer client.Close()

	server.SetItem(memcachetest.Item{Key: "k", Value: []byte("v"), Flags: 7})
	item, err := client.Get(context.Background(), "k")
	fmt.Printf("%s %d %v\n", item.Value, item.Flags, err)
	// Output: v 7 <nil>
}

// Two nodes of one client on a network in memory.
func ExampleNetwork() {
	var network memcachetest.Network
	for _, addr := range []string{"n1:11211", "n2:11211"} {
		server, err := memcachetest.New(memcachetest.Config{Network: &network, Addr: addr})
		if err != nil {
			log.Fatal(err)
		}
		defer server.Close()
	}
	client := newClient(memcache.Config{Nodes: "n1:n1:11211,n2:n2:11211", DialContext: network.DialContext})
	defer client.Close()
	fmt.Println(client.Ping(context.Background()))
	// Output: <nil>
}

// A password, small items and little memory.
func ExampleNew() {
	server, err := memcachetest.New(memcachetest.Config{
		MaxItemSize: 1024,
		MaxMemory:   64 << 10,
		Username:    "user",
		Password:    "secret",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client := newClient(memcache.Config{Nodes: server.Addr(), Username: "user", Password: "secret"})
	defer client.Close()
	err = client.Set(context.Background(), &memcache.Item{Key: "k", Value: make([]byte, 2000)})
	fmt.Println(errors.Is(err, memcache.ErrTooLarge))
	// Output: true
}

// "This sends nothing to memcached."
func ExampleServer_Traffic() {
	server := memcachetest.NewServer()
	defer server.Close()
	client := newClient(memcache.Config{Nodes: server.Addr(), Protocol: memcache.Classic})
	defer client.Close()

	before := server.Traffic()
	_, err := client.Get(context.Background(), "a bad key")
	fmt.Println(err != nil, server.Traffic().Received == before.Received)

	_, err = client.Get(context.Background(), "k")
	fmt.Println(errors.Is(err, memcache.ErrMiss), server.Traffic().Total() > before.Total())
	// Output:
	// true true
	// true true
}
