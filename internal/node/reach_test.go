package node

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/proto"
)

// TestReach: Reach does not wait for the pause between probes, and the node is
// up when it has succeeded.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		var healthy atomic.Bool
		cfg := config("127.0.0.1:1")
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			if !healthy.Load() {
				return refuse(ctx, network, addr)
			}
			near, far := net.Pipe()
			go answerVersions(far) // ends when the node closes its side
			return near, nil
		}
		n := New(cfg)
		defer n.Close()
		if err := n.Reach(t.Context()); err != nil || dials.Load() != 0 {
			t.Errorf("Reach of a node that nobody has found down = %v with %d dials, want nil without", err, dials.Load())
		}
		for range 10 { // the pause is 5 s by then
			n.Do(t.Context(), get("key"))
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		n.Do(t.Context(), get("key"))
		synctest.Wait()
		before := dials.Load()
		if err := n.Reach(t.Context()); !errors.Is(err, ErrDown) || dials.Load() != before+1 {
			t.Errorf("Reach of a dead node = %v with %d dials, want ErrDown with 1", err, dials.Load()-before)
		}
		healthy.Store(true)
		if n.Up() {
			t.Fatal("the node came up by itself")
		}
		if err := n.Reach(t.Context()); err != nil || !n.Up() {
			t.Errorf("Reach = %v and the node is up: %v, want nil and true", err, n.Up())
		}
		n.Close()
		if err := n.Reach(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Reach of a closed node = %v, want ErrClosed", err)
		}
	})
}

// answerVersions is a server that knows one command.
func answerVersions(nc net.Conn) {
	defer nc.Close()
	for in := bufio.NewScanner(nc); in.Scan(); {
		io.WriteString(nc, "VERSION 1.6.18\r\n")
	}
}

// TestReachGivesUp: ctx bounds the wait, not the attempt.
func TestReachGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("127.0.0.1:1")
		blackhole := false
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if blackhole {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return refuse(ctx, network, addr)
		}
		n := New(cfg)
		defer n.Close()
		n.Do(t.Context(), get("key"))
		synctest.Wait()
		blackhole = true
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := n.Reach(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Millisecond {
			t.Errorf("Reach = %v after %v, want DeadlineExceeded after 10ms", err, time.Since(start))
		}
	})
}

// TestReachAfterOlderAttempt: an attempt that began before the server came up
// says nothing about now.
func TestReachAfterOlderAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("127.0.0.1:1")
		release := make(chan struct{})
		dials := 0
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			switch dials++; dials {
			case 1:
				return refuse(ctx, network, addr)
			case 2:
				<-release
				return refuse(ctx, network, addr)
			}
			near, far := net.Pipe()
			go answerVersions(far) // ends when the node closes its side
			return near, nil
		}
		n := New(cfg)
		defer n.Close()
		n.Do(t.Context(), get("key"))
		synctest.Wait()
		first, later := make(chan error), make(chan error)
		go func() { first <- n.Reach(t.Context()) }() // ends with its attempt
		synctest.Wait()
		go func() { later <- n.Reach(t.Context()) }() // ends with its second attempt
		synctest.Wait()
		close(release)
		if err := <-first; err == nil {
			t.Error("the attempt that was refused succeeded")
		}
		if err := <-later; err != nil {
			t.Errorf("Reach that came during the attempt = %v, want nil", err)
		}
		if !n.Up() {
			t.Error("the node is not up")
		}
	})
}

// TestReachShares: callers that come while an attempt is under way have the next
// one together.
func TestReachShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 50
		var dials atomic.Int64
		cfg := config("127.0.0.1:1")
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			time.Sleep(time.Millisecond)
			return refuse(ctx, network, addr)
		}
		n := New(cfg)
		defer n.Close()
		n.Do(t.Context(), get("key"))
		before := dials.Load()
		errs := make(chan error, callers)
		for range callers {
			go func() { errs <- n.Reach(t.Context()) }() // ends with its attempts
		}
		for range callers {
			if err := <-errs; !errors.Is(err, ErrDown) {
				t.Errorf("Reach of a dead node = %v, want ErrDown", err)
			}
		}
		if got := dials.Load() - before; got != 2 {
			t.Errorf("%d callers made %d attempts, want 2: one that the first began, and one for those that came during it", callers, got)
		}
	})
}

// TestReachFindsConnection: a dial shows its connection before it says that the
// node is up. Who finds the connection then finds the node up, too.
func TestReachFindsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config("127.0.0.1:1")
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go answerVersions(far) // ends when the node closes its side
			return near, nil
		}
		n := New(cfg)
		defer n.Close()
		do(t, n, newCall(proto.Request{Op: proto.OpVersion}))
		n.fail(&downError{io.EOF}) // as it was while the dial ended
		if err := n.reach(t.Context(), &n.slots[0]); err != nil || !n.Healthy() {
			t.Errorf("reach = %v and the node is up: %v, want nil and true", err, n.Healthy())
		}
	})
}
