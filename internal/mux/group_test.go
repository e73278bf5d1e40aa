package mux_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/mux"
	"github.com/seed99545744/msm/internal/proto"
)

// Classic gets that meet while a writer is busy go out as one.
func TestGatheredGets(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		reply        string
		want         []any // value or error, by caller
	}{
		{"hits and misses", "each gets its own",
			"VALUE a 0 1 1\r\nA\r\nVALUE c 3 1 2\r\nC\r\nEND\r\n", []any{"A", proto.StatusMiss, "C", proto.StatusMiss}},
		{"no hit", "END answers all", "END\r\n",
			[]any{proto.StatusMiss, proto.StatusMiss, proto.StatusMiss, proto.StatusMiss}},
		{"a refusal", "what the server said is said to all", "SERVER_ERROR out of memory\r\n",
			[]any{proto.StatusServerError, proto.StatusServerError, proto.StatusServerError, proto.StatusServerError}},
		{"a foreign key", "nobody is answered by half of a wrong reply", "VALUE b 0 1 1\r\nB\r\nVALUE z 0 1 1\r\nZ\r\nEND\r\n",
			[]any{proto.ErrProtocol, proto.ErrProtocol, proto.ErrProtocol, proto.ErrProtocol}},
	} {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Check(t)
			c, p := connect(t, mux.Config{Codec: proto.Classic{}})
			keys := []string{"a", "b", "c", "d"}
			calls := gatherBehindWriter(t, c, p, keys)
			if got, want := p.line(), "gets a b c d\r\n"; got != want {
				t.Fatalf("on the wire: got %q, want %q", got, want)
			}
			for _, b := range test.reply { // a byte at a time: the reply is read in pieces
				fmt.Fprintf(p.nc, "%c", b)
			}
			for i, done := range calls {
				call, want := done(), test.want[i]
				if err, ok := want.(error); ok {
					if !errors.Is(call.err, err) {
						t.Errorf("%s: %s: got %v, want %v", test.reason, keys[i], call.err, err)
					}
					continue
				}
				var got any = string(call.Value)
				if call.Rep.Status != proto.StatusOK {
					got = call.Rep.Status
				}
				if call.err != nil || got != want {
					t.Errorf("%s: %s: got %v, %v, want %v", test.reason, keys[i], got, call.err, want)
				}
			}
		})
	}
}

type outcome struct {
	*mux.Call
	err error
}

// gatherBehindWriter keeps the connection's writer busy while gets for keys
// join, one after the other, and returns a function per key that waits for it.
func gatherBehindWriter(t *testing.T, c *mux.Conn, p *peer, keys []string) []func() outcome {
	t.Helper()
	big := value("big", 1<<20)
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := c.Do(context.Background(), set("big", big)); err != nil {
			t.Errorf("set: %v", err)
		}
	})
	p.line()
	var calls []func() outcome
	for i, key := range keys {
		ch := make(chan outcome, 1)
		go func() {
			call := get(key)
			ch <- outcome{call, c.Do(context.Background(), call)}
		}()
		calls = append(calls, func() outcome { return <-ch })
		waitFor(t, "the get to join", func() bool { return c.InFlight() == i+2 })
	}
	if _, err := io.CopyN(io.Discard, p.r, int64(len(big)+2)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(p.nc, "STORED\r\n")
	writer.Wait()
	return calls
}

// Gathering changes nobody's order: what one caller stores before its get is
// seen by it.
func TestGatheredGetsKeepOrder(t *testing.T) {
	leaktest.Check(t)
	c := dial(t, mux.Config{Codec: proto.Classic{}})
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range 100 {
				key, want := fmt.Sprint("k", g), fmt.Sprint(g, "/", i)
				mustDo(t, c, set(key, []byte(want)))
				call := get(key)
				mustDo(t, c, call)
				if string(call.Value) != want {
					t.Errorf("got %q, want %q", call.Value, want)
				}
			}
		})
	}
	wg.Wait()
}
