// Package leaktest fails tests that leave goroutines behind.
package leaktest

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	patience     = 5 * time.Second // how long goroutines may take to end
	pollInterval = time.Millisecond
)

// Check fails t if goroutines that were started after Check still run when the
// test is over, and prints their stacks. They get five seconds to end.
//
// Call it first in a test: cleanups run in reverse order, so those of the test
// come before the look. It sees the goroutines of the whole process: a test
// that uses it must not run in parallel with others.
func Check(t testing.TB) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() {
		var left map[string]string
		for end := time.Now().Add(patience); ; time.Sleep(pollInterval) {
			left = leaked(before, goroutines())
			if len(left) == 0 || time.Now().After(end) {
				break
			}
		}
		for _, stack := range left {
			t.Errorf("leaked goroutine:\n%s", stack)
		}
	})
}

func leaked(before, after map[string]string) map[string]string {
	left := make(map[string]string)
	for id, stack := range after {
		if _, ok := before[id]; !ok && !ignored(stack) {
			left[id] = stack
		}
	}
	return left
}

// ignored tells goroutines of the runtime and of package testing, which come
// and go on their own.
func ignored(stack string) bool {
	for _, own := range []string{
		"\ntesting.tRunner(", // another test, or the parent of this one
		"\ncreated by testing.",
		"\ncreated by runtime",
		"\nos/signal.signal_recv(",
		"\nruntime/trace.",
		"\ninternal/fuzz.",
	} {
		if strings.Contains(stack, own) {
			return true
		}
	}
	return false
}

// goroutines returns the stacks of all goroutines by "goroutine 12".
func goroutines() map[string]string {
	buf := make([]byte, 1<<16)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := make(map[string]string)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		id, _, _ := strings.Cut(stack, " [")
		stacks[id] = stack
	}
	return stacks
}
