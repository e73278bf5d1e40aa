package memcache_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

var protocols = []memcache.Protocol{memcache.Text, memcache.Classic, memcache.Meta, memcache.Binary}

func protocolName(p memcache.Protocol) string {
	return [...]string{"Text", "Classic", "Meta", "Binary"}[p]
}

// startReal and startFake return the address of a server that lives as long as
// the test.
func startReal(t testing.TB) string { return memcached.Start(t).Addr() }

func startFake(t testing.TB) string {
	s := memcachetest.NewServer()
	t.Cleanup(s.Close)
	return s.Addr()
}

// onServers runs test over every protocol against memcachetest and against real
// memcached.
func onServers(t *testing.T, test func(t *testing.T, start func(testing.TB) string, p memcache.Protocol)) {
	servers := []struct {
		name  string
		start func(testing.TB) string
	}{{"memcachetest", startFake}, {"memcached", startReal}}
	for _, s := range servers {
		for _, p := range protocols {
			t.Run(s.name+"/"+protocolName(p), func(t *testing.T) { test(t, s.start, p) })
		}
	}
}

// newClient makes a Client that the test closes. Where operations may take long,
// to connect may, too: the servers are as busy as the test is.
func newClient(t testing.TB, cfg memcache.Config) *memcache.Client {
	t.Helper()
	if cfg.DialTimeout == 0 && cfg.Timeout > memcache.DefaultDialTimeout {
		cfg.DialTimeout = cfg.Timeout
	}
	c, err := memcache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// nodes writes addresses as Config.Nodes: n1, n2 and so on.
func nodes(addrs ...string) (list string) {
	for i, addr := range addrs {
		list += fmt.Sprintf("n%d:%s,", i+1, addr)
	}
	return list
}

// eventually polls ok for at most 10 s.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

var ctx = context.Background()
