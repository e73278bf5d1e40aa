package mux_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed99545744/msm/internal/mux"
)

// gated is a server that answers its first request at once, and every other one
// when gate says so: "none" by a miss, "small" by one byte, a store by success, all
// else by largeSize. The value of a store it reads when gate says so, too.
type gated struct {
	asked []string  // owned by serve until that has ended
	gate  chan bool // made in the bubble
}

const largeSize = 100 << 10

func (g *gated) serve(nc net.Conn) {
	g.gate = make(chan bool)
	for r := bufio.NewReader(nc); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.Fields(line)
		key, opaque := fields[1], fields[len(fields)-1]
		if len(g.asked) > 0 {
			<-g.gate
		}
		g.asked = append(g.asked, key)
		if fields[0] == "ms" {
			n, _ := strconv.Atoi(fields[2])
			if _, err := r.Discard(n + len("\r\n")); err != nil {
				return
			}
			<-g.gate
			fmt.Fprintf(nc, "HD %s\r\n", opaque)
			continue
		}
		size := largeSize
		switch key {
		case "none":
			fmt.Fprintf(nc, "EN %s\r\n", opaque)
			continue
		case "small":
			size = 1
		}
		fmt.Fprintf(nc, "VA %d f0 c1 t-1 %s\r\n%s\r\n", size, opaque, strings.Repeat("x", size))
	}
}

// Large replies narrow the window: few are on their way at a time, who waits for
// room gets it in turn, and a reply that is not large widens the window again.
func TestWindow(t *testing.T) {
	for _, last := range []string{"small", "none"} {
		t.Run(last, func(t *testing.T) { testWindow(t, last) })
	}
}

func testWindow(t *testing.T, last string) {
	const (
		narrow  = 5 // replies of largeSize in 512 KiB
		callers = 40
	)
	var server gated
	bubble(t, nil, server.serve, func(t *testing.T, c *mux.Conn) {
		do := func(key string) {
			if err := c.Do(context.Background(), get(key)); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
		do("first")
		var wg sync.WaitGroup
		start := func(key string) {
			wg.Go(func() { do(key) })
			synctest.Wait()
		}
		for i := range callers {
			start(fmt.Sprintf("k%02d", i))
		}
		for range callers {
			if got := c.InFlight(); got > narrow {
				t.Errorf("in flight: got %d, want %d at most", got, narrow)
			}
			server.gate <- true
			synctest.Wait()
		}
		wg.Wait()
		start(last)
		server.gate <- true
		for i := range callers {
			start(fmt.Sprintf("l%02d", i))
		}
		if got := c.InFlight(); got != callers {
			t.Errorf("in flight behind %q: got %d, want all %d", last, got, callers)
		}
		close(server.gate)
		wg.Wait()
	})
	if got := server.asked[1 : callers+1]; !slices.IsSorted(got) {
		t.Errorf("callers got their turn in the order %q, want that of their coming", got)
	}
}

// Who stores a large value has its turn to write to wait for, too. It keeps its
// room meanwhile: those that came later do not take it.
func TestLargeStoreKeepsRoom(t *testing.T) {
	const early, late = 4, 20 // with "blocked", as many as the window has room for
	var server gated
	bubble(t, nil, server.serve, func(t *testing.T, c *mux.Conn) {
		var wg sync.WaitGroup
		start := func(call *mux.Call) {
			wg.Go(func() {
				if err := c.Do(context.Background(), call); err != nil {
					t.Errorf("%s: %v", call.Req.Key, err)
				}
			})
			synctest.Wait()
		}
		start(get("first"))
		for i := range early {
			start(get(fmt.Sprint("early", i)))
		}
		value := make([]byte, 4<<20) // more than the network holds
		start(set("blocked", value))
		start(set("patient", value))
		for i := range late {
			start(get(fmt.Sprint("late", i)))
		}
		// The answer to "blocked" widens the window: it comes when "patient" has had
		// its turn.
		for range early + 1 {
			server.gate <- true
			synctest.Wait()
		}
		close(server.gate)
		wg.Wait()
	})
	after := slices.Index(server.asked, "patient") - slices.Index(server.asked, "blocked") - 1
	if after >= early {
		t.Errorf("%d of those that came later were before it, want less than %d: %q", after, early, server.asked)
	}
}
