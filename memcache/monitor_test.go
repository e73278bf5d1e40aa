package memcache_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// TestPreemption: a caller that computes after an answer does not keep the
// processor from others, although the scheduler's monitor may have seen nothing
// of the answer. It runs in a process of its own, where nothing else wakes the
// monitor.
func TestPreemption(t *testing.T) {
	const server = "MEMCACHE_TEST_SERVER"
	if addr := os.Getenv(server); addr != "" {
		testPreemption(t, addr)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), server+"="+startReal(t))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) { // no test to run is no error
		t.Errorf("%v\n%s", err, out)
	}
}

func testPreemption(t *testing.T, addr string) {
	const limit = 5 * time.Second
	runtime.GOMAXPROCS(1)
	c := newClient(t, memcache.Config{Nodes: nodes(addr), Timeout: time.Minute})
	for range 10 {
		for range 200 {
			if _, err := c.Get(ctx, "absent"); err != memcache.ErrMiss {
				t.Fatal(err)
			}
		}
		var ran atomic.Bool
		go ran.Store(true) // as soon as the scheduler lets it
		begin := time.Now()
		for !ran.Load() && time.Since(begin) < limit {
		}
		if waited := time.Since(begin); waited >= limit {
			t.Fatalf("another goroutine could not run for %v", waited)
		}
	}
}
