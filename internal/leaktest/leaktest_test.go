package leaktest

import (
	"strings"
	"testing"
)

// recorder is a test that only notes what happens to it.
type recorder struct {
	testing.TB
	cleanups []func()
	failures int
}

func (r *recorder) Helper()               {}
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(string, ...any) { r.failures++ }
func (r *recorder) end() {
	for _, f := range r.cleanups {
		f()
	}
}

func TestCheckWaitsForTheEnd(t *testing.T) {
	r := &recorder{TB: t}
	Check(r)
	stop := make(chan struct{})
	for range 10 {
		go func() { <-stop }() // ends when stop is closed
	}
	close(stop)
	r.end()
	if r.failures != 0 {
		t.Errorf("got %d failures, want 0", r.failures)
	}
}

func TestLeaked(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	go func() { <-stop }() // ends with the test
	before := goroutines()
	started := make(chan struct{})
	for range 3 {
		go func() { started <- struct{}{}; <-stop }() // ends with the test
	}
	for range 3 {
		<-started
	}
	left := leaked(before, goroutines())
	if len(left) != 3 {
		t.Errorf("got %d leaked goroutines, want the 3 started after the first look", len(left))
	}
	for _, stack := range left {
		if !strings.Contains(stack, "TestLeaked") {
			t.Errorf("got a stack without the name of who started it:\n%s", stack)
		}
	}
}
