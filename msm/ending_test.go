package msm

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// endsWith calls Shutdown with that much time, and tells how long it took.
func endsWith(t *testing.T, m *Manager, patience time.Duration) (took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := time.Now()
	err = m.Shutdown(ctx)
	return time.Since(begin), err
}

// Shutdown does not wait for a Reconfigure that waits: for a request, or for
// nodes that do not answer. What was not stored yet is, in the time that
// Shutdown has.
func TestShutdownDuringReconfigure(t *testing.T) {
	for name, tc := range map[string]struct {
		fault    memcachetest.Fault
		inside   time.Duration // for how long a request is under way
		patience time.Duration // of Shutdown
		want     error
	}{
		"a request":            {inside: time.Second, patience: 10 * time.Second},
		"a request for longer": {inside: 20 * time.Second, patience: 10 * time.Millisecond, want: context.DeadlineExceeded},
		"nodes that hang":      {fault: memcachetest.Fault{Hang: true}, patience: 10 * time.Millisecond, want: context.DeadlineExceeded},
		"slow nodes":           {fault: memcachetest.Fault{Delay: 100 * time.Millisecond}, patience: time.Minute},
		"too slow nodes":       {fault: memcachetest.Fault{Delay: 200 * time.Millisecond}, patience: 100 * time.Millisecond, want: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.Route, cfg.OperationTimeout = "a", 10*time.Second
				m, err := New(cfg)
				must(t, err)
				b := ann(t, m)
				rest(t, m)
				ns.sicken(tc.fault)
				inside, left := make(chan struct{}), make(chan struct{})
				go func() { // ends by itself, waited for below
					defer close(left)
					b.visit(m, func(s *Session) {
						close(inside)
						time.Sleep(tc.inside)
						must(t, s.Set("user", "bob"))
					})
				}()
				<-inside
				if tc.inside == 0 {
					<-left
				}
				changed := make(chan error, 1)
				cfg.StorageKeyPrefix = "static:other"
				go func() { changed <- m.Reconfigure(cfg) }() // ends with Shutdown
				synctest.Wait()
				took, err := endsWith(t, m, tc.patience)
				if took > tc.patience || !errors.Is(err, tc.want) {
					t.Errorf("Shutdown took %v and returned %v, want %v at most and %v", took, err, tc.patience, tc.want)
				}
				if err := <-changed; !errors.Is(err, errOver) {
					t.Errorf("Reconfigure returned %v, want %v", err, errOver)
				}
				<-left
				ns.sicken(memcachetest.Fault{})
				if tc.want != nil {
					return
				}
				cfg.Route, cfg.StorageKeyPrefix = "b", ""
				if got := b.get(t, instance(t, cfg), "user"); got != "bob" {
					t.Errorf("another instance has %q, want bob", got)
				}
			})
		})
	}
}

// A second Shutdown waits for the first one as long as its own ctx says, and
// takes nothing from it.
func TestShutdownTwice(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.Route = "a"
		m, err := New(cfg)
		must(t, err)
		b := ann(t, m)
		inside, left := make(chan struct{}), make(chan struct{})
		go func() { // ends by itself, waited for below
			defer close(left)
			b.visit(m, func(s *Session) {
				close(inside)
				time.Sleep(2 * time.Second)
				must(t, s.Set("user", "bob"))
			})
		}()
		<-inside
		first := make(chan error, 1)
		go func() { first <- m.Shutdown(t.Context()) }() // ends when the request has left
		synctest.Wait()
		if took, err := endsWith(t, m, time.Second); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the second one took %v and returned %v, want 1 s and %v", took, err, context.DeadlineExceeded)
		}
		if took, err := endsWith(t, m, time.Minute); took > 2*time.Second || err != nil {
			t.Errorf("the third one took %v and returned %v, want the rest of the request's 2 s and nil", took, err)
		}
		must(t, <-first)
		<-left
		cfg.Route = "b"
		if got := b.get(t, instance(t, cfg), "user"); got != "bob" {
			t.Errorf("another instance has %q, want bob", got)
		}
	})
}

// Shutdown does not wait for longer than it may for nodes that hang, either: its
// client does when it closes.
func TestShutdownOfAHangingClient(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := ns.config()
	cfg.Route, cfg.OperationTimeout = "a", 10*time.Second
	m, err := New(cfg)
	must(t, err)
	b := ann(t, m)
	ns.sicken(memcachetest.Fault{Hang: true})
	b.set(t, m, "user", "bob")
	if took, err := endsWith(t, m, 10*time.Millisecond); took > 5*time.Second || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown took %v and returned %v, want 10 ms and %v", took, err, context.DeadlineExceeded)
	}
}

// Where nothing is left to do, it does not matter that there is no time for it.
func TestShutdownWithoutTime(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // of two things that are so, select takes any
		m, err := New(Config{Disabled: true})
		must(t, err)
		for range 2 {
			if err := m.Shutdown(over); err != nil {
				t.Fatalf("Shutdown returned %v, want nil", err)
			}
		}
	}
}
