package mux_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed99545744/msm/internal/mux"
)

// Large replies narrow the window: few are on their way at a time, who waits for
// room gets it in turn, and a reply that is not large widens the window again.
func TestWindow(t *testing.T) {
	for _, last := range []string{"small", "none"} {
		t.Run(last, func(t *testing.T) { testWindow(t, last) })
	}
}

func testWindow(t *testing.T, last string) {
	const (
		size    = 100 << 10
		narrow  = 5 // of 512 KiB
		callers = 40
	)
	var asked []string // owned by the server until it has ended
	var gate chan bool // made in the bubble
	server := func(nc net.Conn) {
		gate = make(chan bool)
		for r := bufio.NewReader(nc); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			fields := strings.Fields(line)
			asked = append(asked, fields[1])
			if asked[len(asked)-1] != "first" {
				<-gate
			}
			n := size
			switch fields[1] {
			case "none":
				fmt.Fprintf(nc, "EN %s\r\n", fields[len(fields)-1])
				continue
			case "small":
				n = 1
			}
			fmt.Fprintf(nc, "VA %d f0 c1 t-1 %s\r\n%s\r\n", n, fields[len(fields)-1], strings.Repeat("x", n))
		}
	}
	bubble(t, nil, server, func(t *testing.T, c *mux.Conn) {
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
			gate <- true
			synctest.Wait()
		}
		wg.Wait()
		start(last)
		gate <- true
		for i := range callers {
			start(fmt.Sprintf("l%02d", i))
		}
		if got := c.InFlight(); got != callers {
			t.Errorf("in flight behind %q: got %d, want all %d", last, got, callers)
		}
		close(gate)
		wg.Wait()
	})
	if got := asked[1 : callers+1]; !slices.IsSorted(got) {
		t.Errorf("callers got their turn in the order %q, want that of their coming", got)
	}
}
