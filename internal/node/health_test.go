package node

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func refuse(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("connection refused")
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backoff
		if !b.over() {
			t.Error("the zero backoff is not over")
		}
		for _, want := range []time.Duration{20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000} {
			want *= time.Millisecond
			b.extend()
			if d := time.Until(b.next); d < want/2 || d > want*3/2 {
				t.Errorf("pause of %v, want %v ± half of it", d, want)
			}
			if b.over() {
				t.Error("over at once")
			}
			time.Sleep(time.Until(b.next))
			if !b.over() {
				t.Error("not over in time")
			}
		}
	})
}

// TestProbes: a node that is down is probed by the operations that come, one
// probe at a time, less and less often.
func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		cfg := config("127.0.0.1:1")
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return refuse(ctx, network, addr)
		}
		n := New(cfg)
		defer n.Close()
		operate := func() {
			if _, err := n.Do(ctx, get("key")); !errors.Is(err, ErrDown) {
				t.Fatalf("got %v, want ErrDown", err)
			}
			synctest.Wait()
		}
		operate()
		time.Sleep(time.Hour)
		if got := dials.Load(); got != 1 {
			t.Errorf("%d dials, want 1: nobody has asked since", got)
		}
		since := n.Stats().DownSince
		for range 100_000 {
			operate()
			time.Sleep(time.Millisecond)
		}
		// 100 s: eight pauses until they are of 5 s, give or take half.
		if got := dials.Load(); got < 15 || got > 60 {
			t.Errorf("%d dials in 100 s, want about 28", got)
		}
		if s := n.Stats(); !s.DownSince.Equal(since) || s.DialErrors != uint64(dials.Load()) || s.Down != 100_001 {
			t.Errorf("got %+v, want one outage with %d failed dials", s, dials.Load())
		}
	})
}
