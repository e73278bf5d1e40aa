package memcache

import (
	"errors"
	"testing"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

func TestReach(t *testing.T) {
	servers := []*memcachetest.Server{memcachetest.NewServer(), memcachetest.NewServer()}
	defer servers[0].Close()
	defer servers[1].Close()
	c, err := New(Config{Nodes: "n1:" + servers[0].Addr() + ",n2:" + servers[1].Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sick := c.On("n2")
	servers[1].SetFault(memcachetest.Fault{Refuse: true})
	for range 10 { // and with each the pause grows
		if err := c.Reach(t.Context()); err != nil && !c.On("n1").Up() {
			t.Fatalf("n1 is down: %v", err)
		}
		sick.Get(t.Context(), "key")
	}
	if c.Up() || sick.Up() || !c.On("n1").Up() {
		t.Errorf("up: all %v, n2 %v, n1 %v; want only n1", c.Up(), sick.Up(), c.On("n1").Up())
	}
	var failed *MultiError
	if err := c.Reach(t.Context()); !errors.As(err, &failed) || len(failed.Errs) != 1 || !errors.Is(failed.Errs["n2"], ErrNodeDown) {
		t.Errorf("Reach = %v, want a MultiError with ErrNodeDown for n2", err)
	}
	servers[1].SetFault(memcachetest.Fault{})
	if err := sick.Reach(t.Context()); err != nil || !sick.Up() {
		t.Errorf("Reach of a node that is back = %v, up: %v", err, sick.Up())
	}
	if _, err := sick.Get(t.Context(), "key"); !errors.Is(err, ErrMiss) {
		t.Errorf("Get after Reach = %v, want ErrMiss", err)
	}
	if err := c.On("n3").Reach(t.Context()); !errors.Is(err, ErrNoNodes) || c.On("n3").Up() {
		t.Errorf("Reach of an unknown node = %v, want ErrNoNodes", err)
	}
}
