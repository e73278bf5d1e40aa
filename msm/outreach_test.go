package msm

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// Shutdown waits for attempts to reach a node, also with a client that goes on.
func TestShutdownWaitsForAttempts(t *testing.T) {
	bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		trying := func() bool {
			stacks := make([]byte, 1<<20)
			return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "(*server).reach(")
		}
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		ns.node(b.id(t).node).SetFault(memcachetest.Fault{Hang: true})
		tried := false
		for range 100 {
			b.visit(m, func(s *Session) { s.Get("who", new(string)) })
			if tried = trying(); tried {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if !tried {
			t.Fatal("the node is not tried: this test shows nothing")
		}
		shutdown(t, m)
		if trying() {
			t.Error("after Shutdown the node is still tried to be reached")
		}
	})
}
