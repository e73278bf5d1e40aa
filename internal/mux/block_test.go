package mux_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/mux"
	"github.com/seed99545744/msm/internal/proto"
)

// A writer that is stuck in the middle of its value leaves at once; what it
// left unsent goes out before the next request, so that the stream stays whole.
func TestCancelledWriterLeavesAtOnce(t *testing.T) {
	leaktest.Check(t)
	promptly(t, cancelledWriter)
}

func cancelledWriter(t *testing.T) time.Duration {
	c, p := connect(t, mux.Config{})
	big := value("big", 1<<20) // more than the sockets hold
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- c.Do(ctx, set("big", big)) }()
	header := p.line()
	next := make(chan error, 1)
	call := get("next")
	go func() { next <- c.Do(context.Background(), call) }()

	start := time.Now()
	cancel()
	err := <-left
	took := time.Since(start)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	want := bytes.Clone(big)
	clear(big) // the caller may do so: the value is its own again
	got := make([]byte, len(want)+2)
	if _, err := io.ReadFull(p.r, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:len(want)], want) {
		t.Error("the server got another value than the caller had set when it called")
	}
	line := p.line()
	fmt.Fprintf(p.nc, "HD c1 %s\r\n", opaque(header))
	p.hit(line)
	if err := <-next; err != nil || string(call.Value) != "next" {
		t.Errorf("the request behind it: got %q, %v", call.Value, err)
	}
	return took
}

// GetInto of a large value: the role of the reader passes to the owner, who
// may leave in the middle of it.
func TestCancelledWithinValue(t *testing.T) {
	for _, into := range []bool{false, true} {
		t.Run(fmt.Sprintf("into=%v", into), func(t *testing.T) {
			leaktest.Check(t)
			c, p := connect(t, mux.Config{})
			const size = 100_000
			ctx, cancel := context.WithCancel(t.Context())
			first, second, third := get("first"), get("second"), get("third")
			if into {
				second.Buf = make([]byte, 0, size)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := c.Do(context.Background(), first); err != nil {
					t.Errorf("first: %v", err)
				}
			})
			line1 := p.line()
			left := make(chan error, 1)
			go func() { left <- c.Do(ctx, second) }()
			line2 := p.line()
			wg.Go(func() {
				if err := c.Do(context.Background(), third); err != nil {
					t.Errorf("third: %v", err)
				}
			})
			line3 := p.line()

			p.hit(line1)
			body := value("second", size)
			fmt.Fprintf(p.nc, "VA %d f0 c1 t-1 %s\r\n%s", size, opaque(line2), body[:size/2])
			cancel()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("second: got %v, want Canceled", err)
			}
			if into {
				clear(second.Buf[:size])
			}
			fmt.Fprintf(p.nc, "%s\r\n", body[size/2:])
			p.hit(line3)
			wg.Wait()
			if string(third.Value) != "third" {
				t.Errorf("third: got %q", third.Value)
			}
			if into && !bytes.Equal(second.Buf[:size], make([]byte, size)) {
				t.Error("a buffer was written to after its owner had left")
			}
		})
	}
}

// A caller's memory is used if the value fits, to the last byte.
func TestGetInto(t *testing.T) {
	c := dial(t, mux.Config{})
	for _, n := range []int{0, 1, 100, 16 << 10, 100_000} {
		key := fmt.Sprint("k", n)
		want := value(key, n)
		mustDo(t, c, set(key, want))
		for _, room := range []int{n, n + 1, n + 2, n + 1000} {
			buf := make([]byte, room, room+1)
			buf[:room+1][room] = 0xee
			call := get(key)
			call.Buf = buf[:0:room]
			mustDo(t, c, call)
			if !bytes.Equal(call.Value, want) || cap(call.Value) > 0 && room > 0 && &call.Value[:1][0] != &buf[:1][0] {
				t.Errorf("%d bytes into %d: got %d bytes elsewhere, or others", n, room, len(call.Value))
			}
			if buf[:room+1][room] != 0xee {
				t.Errorf("%d bytes into %d: wrote behind the buffer", n, room)
			}
		}
		if n > 0 {
			call := get(key)
			call.Buf = make([]byte, 0, n-1)
			mustDo(t, c, call)
			if !bytes.Equal(call.Value, want) {
				t.Errorf("%d bytes into %d: got %d bytes", n, n-1, len(call.Value))
			}
		}
	}
}

// Beyond MaxInFlight callers wait, each under its own ctx, and get their turn.
func TestInFlightIsBounded(t *testing.T) {
	leaktest.Check(t)
	c, p := connect(t, mux.Config{})
	const callers = mux.MaxInFlight + 200
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if err := c.Do(context.Background(), get(fmt.Sprint("k", i))); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	waitFor(t, "the connection to be full", func() bool { return c.InFlight() == mux.MaxInFlight })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var e *mux.Error
	if err := c.Do(ctx, get("late")); !errors.As(err, &e) || e.Sent {
		t.Errorf("a cancelled caller on a full connection: got %v, want an error, not sent", err)
	}
	for range callers {
		p.hit(p.line())
		if n := c.InFlight(); n > mux.MaxInFlight {
			t.Fatalf("in flight: got %d, want %d at most", n, mux.MaxInFlight)
		}
	}
	wg.Wait()
}

func TestCloseIdle(t *testing.T) {
	leaktest.Check(t)
	c, p := connect(t, mux.Config{})
	gone := errors.New("gone")
	done := make(chan error, 1)
	go func() { done <- c.Do(context.Background(), get("a")) }()
	line := p.line()
	c.CloseIdle(gone)
	var e *mux.Error
	if err := c.Do(context.Background(), get("b")); !errors.Is(err, gone) || !errors.As(err, &e) || e.Sent {
		t.Errorf("a call after CloseIdle: got %v, want %v, not sent", err, gone)
	}
	p.hit(line)
	if err := <-done; err != nil {
		t.Errorf("a call before CloseIdle: %v", err)
	}
	<-c.Dead()
}

func TestCloseFailsCallsInFlight(t *testing.T) {
	leaktest.Check(t)
	c, p := connect(t, mux.Config{})
	done := make(chan error, 1)
	go func() { done <- c.Do(context.Background(), get("a")) }()
	p.line()
	c.Close(net.ErrClosed)
	c.Close(net.ErrClosed)
	var e *mux.Error
	if err := <-done; !errors.As(err, &e) || !e.Sent || !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %#v, want ErrClosed, sent", err)
	}
}

// Calls started on several connections by one caller are answered, also by
// others, before it waits for them.
func TestStartManyThenWait(t *testing.T) {
	leaktest.Check(t)
	conns := []*mux.Conn{dial(t, mux.Config{}), dial(t, mux.Config{})}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				var calls []*mux.Call
				for j, c := range conns {
					call := set(fmt.Sprintf("k%d-%d-%d", g, i, j), value("v", 10))
					if err := c.Start(t.Context(), call); err != nil {
						t.Error(err)
					}
					calls = append(calls, call)
				}
				for j, c := range conns {
					if err := c.Wait(t.Context(), calls[j]); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestAllocs(t *testing.T) {
	c := dial(t, mux.Config{})
	v := value("k", 100)
	mustDo(t, c, set("k", v))
	mustDo(t, c, set("large", value("large", 100_000)))
	buf := make([]byte, 0, 100_002)
	call := new(mux.Call)
	for _, test := range []struct {
		name string
		req  proto.Request
		buf  []byte
		want float64
	}{
		{"get", proto.Request{Op: proto.OpGet, Key: "k"}, nil, 1},
		{"get into", proto.Request{Op: proto.OpGet, Key: "k"}, buf, 0},
		{"get large into", proto.Request{Op: proto.OpGet, Key: "large"}, buf, 0},
		{"miss", proto.Request{Op: proto.OpGet, Key: "absent"}, nil, 0},
		{"set", proto.Request{Op: proto.OpSet, Key: "k", Value: v}, nil, 0},
		{"set large", proto.Request{Op: proto.OpSet, Key: "large", Value: value("large", 100_000)}, nil, 0},
		{"touch", proto.Request{Op: proto.OpTouch, Key: "k"}, nil, 0},
	} {
		got := testing.AllocsPerRun(100, func() {
			call.Req, call.Buf = test.req, test.buf
			mustDo(t, c, call)
		})
		if got > test.want {
			t.Errorf("%s: got %v allocations, want %v at most", test.name, got, test.want)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			c := dial(b, mux.Config{})
			mustDo(b, c, set("k", value("k", 100)))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					call := new(mux.Call)
					for range b.N / callers {
						call.Req = proto.Request{Op: proto.OpGet, Key: "k"}
						if err := c.Do(context.Background(), call); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
