package mux_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memnet"
	"github.com/seed99545744/msm/internal/mux"
	"github.com/seed99545744/msm/internal/proto"
)

// One caller starts more calls than fit, before it waits for any: somebody has
// to read, or there is never room.
func TestMoreCallsThanFit(t *testing.T) {
	leaktest.Check(t)
	c := dial(t, mux.Config{})
	var calls []*mux.Call
	for i := range 2*mux.MaxInFlight + 10 {
		call := get(fmt.Sprint("k", i))
		if err := c.Start(t.Context(), call); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		calls = append(calls, call)
	}
	for _, call := range calls {
		if err := c.Wait(t.Context(), call); err != nil || call.Rep.Status != proto.StatusMiss {
			t.Fatalf("got status %v, %v, want a miss", call.Rep.Status, err)
		}
	}
}

// One caller asks for more than the sockets hold, and then writes as much: the
// server does not read on while nobody reads what it has to say.
func TestWriteBehindUnreadReplies(t *testing.T) {
	leaktest.Check(t)
	c, p := connect(t, mux.Config{})
	large := value("large", 1<<20)
	const n = 16
	server := make(chan error, 1)
	go func() { // ends with the last request, or with the connection
		server <- func() error {
			for range n {
				line := p.line()
				if _, err := fmt.Fprintf(p.nc, "VA %d f0 c1 t-1 %s\r\n%s\r\n", len(large), opaque(line), large); err != nil {
					return err
				}
			}
			for range n {
				line := p.line()
				if _, err := io.CopyN(io.Discard, p.r, int64(len(large)+2)); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(p.nc, "HD c1 %s\r\n", opaque(line)); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	var calls []*mux.Call
	for i := range 2 * n {
		call := get("large")
		if i >= n {
			call = set("large", large)
		}
		if err := c.Start(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	for _, call := range calls {
		if err := c.Wait(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-server; err != nil {
		t.Error(err)
	}
}

// A writer in the middle of its value and one that waits for its turn leave
// together. Nobody is left to write the rest of the value, nor the request
// behind it, nor to read the replies: goroutines do.
func TestAllLeave(t *testing.T) {
	leaktest.Check(t)
	c, p := connect(t, mux.Config{})
	big := value("big", 1<<20) // more than the sockets hold
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	callers.Go(func() {
		if err := c.Do(ctx, set("big", big)); !errors.Is(err, context.Canceled) {
			t.Errorf("set: got %v, want Canceled", err)
		}
	})
	header := p.line()
	callers.Go(func() {
		if err := c.Do(ctx, get("next")); !errors.Is(err, context.Canceled) {
			t.Errorf("get: got %v, want Canceled", err)
		}
	})
	waitFor(t, "both to be in flight", func() bool { return c.InFlight() == 2 })
	cancel()
	callers.Wait()
	if _, err := io.CopyN(io.Discard, p.r, int64(len(big)+2)); err != nil {
		t.Fatal(err)
	}
	next := p.line()
	fmt.Fprintf(p.nc, "HD c1 %s\r\n", opaque(header))
	p.hit(next)
	waitFor(t, "the replies to be dropped", func() bool { return c.InFlight() == 0 })
	if err := c.Err(); err != nil {
		t.Errorf("the connection died: %v", err)
	}
}

// A server may refuse a value before it has read it: the call is done, and its
// caller still writing.
func TestRefusedBeforeSent(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		cancel       bool
		want         time.Duration // when the caller leaves
	}{
		{"cancelled", "the end of ctx reaches a caller that has its answer", true, 200 * time.Millisecond},
		{"timeout", "the watchdog looks at writers, too, when nothing is owed", false, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, nil, func(nc net.Conn) {
				(&peer{t, nc, bufio.NewReader(nc)}).line()
				time.Sleep(100 * time.Millisecond)
				io.WriteString(nc, "SERVER_ERROR object too large for cache\r\n")
				time.Sleep(time.Minute) // and reads no more
			}, func(t *testing.T, c *mux.Conn) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				call := set("big", value("big", 4<<20)) // more than the network holds
				begin := time.Now()
				done := make(chan error, 1)
				go func() { done <- c.Do(ctx, call) }() // ends by ctx or Timeout
				synctest.Wait()
				read := make(chan error, 1)                      // of the caller that finds the refusal
				go func() { read <- c.Do(ctx, get("reader")) }() // the same
				time.Sleep(200 * time.Millisecond)
				if n := c.InFlight(); n != 1 {
					t.Errorf("in flight after the refusal: got %d, want the reader", n)
				}
				if test.cancel {
					cancel()
				}
				if err := <-done; err != nil || call.Rep.Status != proto.StatusTooLarge {
					t.Errorf("%s: got status %v, %v, want the refusal", test.reason, call.Rep.Status, err)
				}
				if took := time.Since(begin); took != test.want {
					t.Errorf("%s: left after %v, want %v", test.reason, took, test.want)
				}
				c.Close(net.ErrClosed)
				<-read
			})
		})
	}
}

// bubble runs a scene with a connection, which wrap may change, to a server in
// the same bubble. Timeout is a second.
func bubble(t *testing.T, wrap func(net.Conn) net.Conn, server func(nc net.Conn), scene func(t *testing.T, c *mux.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		l, err := network.Listen("server")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { // ends when server does
			nc, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			server(nc)
		})
		nc, err := network.DialContext(t.Context(), "mem", "server")
		if err != nil {
			t.Fatal(err)
		}
		if wrap != nil {
			nc = wrap(nc)
		}
		c := mux.New(nc, mux.Config{Codec: proto.Meta{}, Timeout: time.Second})
		scene(t, c)
		c.Close(net.ErrClosed)
		wg.Wait()
		l.Close()
	})
}

// A server that sends its reply a byte at a time, always just in time, is no
// server: the connection dies.
func TestTrickle(t *testing.T) {
	bubble(t, nil, func(nc net.Conn) {
		nc.Read(make([]byte, 100))
		if _, err := fmt.Fprintf(nc, "VA 10000 f0 c1 t-1 O%d\r\n", 10000); err != nil {
			return
		}
		for {
			time.Sleep(900 * time.Millisecond)
			if _, err := nc.Write([]byte("x")); err != nil {
				return
			}
		}
	}, func(t *testing.T, c *mux.Conn) {
		begin := time.Now()
		if err := c.Do(t.Context(), get("k")); !errors.Is(err, mux.ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("left after %v, want 1 s", d)
		}
		<-c.Dead()
		if d := time.Since(begin); d != 5*time.Second || !errors.Is(c.Err(), mux.ErrStalled) {
			t.Errorf("dead after %v of %v, want ErrStalled after 5 s", d, c.Err())
		}
	})
}

// Timeout counts from the beginning of the operation, wherever its time has
// gone, and does not make a connection die that has had no time to answer.
func TestBegan(t *testing.T) {
	bubble(t, nil, func(nc net.Conn) {
		io.Copy(io.Discard, nc)
	}, func(t *testing.T, c *mux.Conn) {
		time.Sleep(time.Minute)
		call := get("k")
		call.Began = time.Now().Add(-700 * time.Millisecond)
		begin := time.Now()
		if err := c.Do(t.Context(), call); !errors.Is(err, mux.ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		if d := time.Since(begin); d != 300*time.Millisecond {
			t.Errorf("left after %v, want 300 ms", d)
		}
		if got := call.Started(); !got.Equal(call.Began) {
			t.Errorf("Started: got %v, want %v", got, call.Began)
		}
		<-c.Dead()
		if d := time.Since(begin); d != time.Second {
			t.Errorf("dead after %v, want 1 s", d)
		}
	})
}

// Waiting for room counts towards Timeout.
func TestTimeoutWithoutRoom(t *testing.T) {
	bubble(t, nil, func(nc net.Conn) {
		r := make([]byte, 1<<10)
		for i := 0; ; i++ {
			if _, err := nc.Read(r); err != nil {
				return
			}
			// A sign of life now and then, so that the connection does not die.
			time.Sleep(300 * time.Millisecond)
			if _, err := fmt.Fprintf(nc, "EN O%d\r\n", 10000+i); err != nil {
				return
			}
		}
	}, func(t *testing.T, c *mux.Conn) {
		var wg sync.WaitGroup
		for i := range mux.MaxInFlight + 100 {
			wg.Go(func() {
				begin := time.Now()
				err := c.Do(t.Context(), get(fmt.Sprint("k", i)))
				if d := time.Since(begin); d > time.Second+time.Millisecond {
					t.Errorf("%v after %v, want 1 s at most", err, d)
				}
			})
		}
		wg.Wait()
	})
}

// counted counts the writes on a connection.
type counted struct {
	net.Conn
	writes int // by the test's only caller
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes++
	return c.Conn.Write(b)
}

// More lets a caller's requests share a write. The last one may be announced in
// vain: then Wait sends it.
func TestMore(t *testing.T) {
	const n = 20
	var nc *counted
	wrap := func(c net.Conn) net.Conn { nc = &counted{Conn: c}; return nc }
	bubble(t, wrap, func(nc net.Conn) {
		p := &peer{t, nc, bufio.NewReader(nc)}
		for {
			line, err := p.r.ReadString('\n')
			if err != nil {
				return
			}
			p.hit(line)
		}
	}, func(t *testing.T, c *mux.Conn) {
		for range 3 {
			nc.writes = 0
			var calls []*mux.Call
			for i := range n {
				call := get(fmt.Sprint("k", i))
				call.More = true
				if err := c.Start(t.Context(), call); err != nil {
					t.Fatal(err)
				}
				calls = append(calls, call)
			}
			if nc.writes != 1 {
				t.Errorf("%d writes for %d calls, want 1, of the first: what waits must wait for something", nc.writes, n)
			}
			for _, call := range calls {
				if err := c.Wait(t.Context(), call); err != nil {
					t.Fatal(err)
				}
			}
			if nc.writes != 2 {
				t.Errorf("%d writes for %d calls, want 2", nc.writes, n)
			}
		}
	})
}

// A caller that is about to write looks for stray bytes. Another may have
// written its request meanwhile, and the answer is none.
func TestNoFalseAlarm(t *testing.T) {
	leaktest.Check(t)
	c := dial(t, mux.Config{Codec: proto.Classic{}, Strict: true})
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			v := value("k", 20_000)
			for i := range 500 {
				call := get("k")
				if g%2 == 0 {
					call = set("k", v)
				}
				if err := c.Do(t.Context(), call); err != nil {
					t.Errorf("call %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
