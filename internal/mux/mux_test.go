package mux_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/internal/mux"
	"github.com/seed99545744/msm/internal/proto"
)

// prompt bounds how long a caller may take to leave once its ctx has ended.
const prompt = 50 * time.Millisecond

// promptly runs a scene that returns how long a caller took to leave, until it
// was prompt. On a machine with other things to do many tries may be late, but
// not all of ten seconds: a caller that waits for something leaves late each time.
func promptly(t *testing.T, scene func(t *testing.T) time.Duration) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		took := scene(t)
		if took <= prompt || t.Failed() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("left after %v, want %v at most", took, prompt)
		}
	}
}

// dial connects to a real memcached.
func dial(t testing.TB, cfg mux.Config) *mux.Conn {
	t.Helper()
	server := memcached.Start(t)
	nc, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return open(t, nc, cfg)
}

func open(t testing.TB, nc net.Conn, cfg mux.Config) *mux.Conn {
	t.Helper()
	if cfg.Codec == nil {
		cfg.Codec = proto.Meta{}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	c := mux.New(nc, cfg)
	t.Cleanup(func() { c.Close(net.ErrClosed) })
	return c
}

// peer is the far end of a connection, driven by the test itself.
type peer struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func connect(t testing.TB, cfg mux.Config) (*mux.Conn, *peer) {
	t.Helper()
	near, p := dialPeer(t, "tcp")
	return open(t, near, cfg), p
}

// dialPeer connects over a network, "tcp" or "unix".
func dialPeer(t testing.TB, network string) (net.Conn, *peer) {
	t.Helper()
	near, far := mux.Pair(t, network)
	// Small, so that a value of a megabyte gets stuck.
	near.SetWriteBuffer(64 << 10)
	far.SetReadBuffer(64 << 10)
	return near, &peer{t, far, bufio.NewReader(far)}
}

// line reads one request line.
func (p *peer) line() string {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	s, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Errorf("reading a request: %v", err)
	}
	return s
}

// opaque returns the opaque token of a meta request.
func opaque(line string) string {
	for _, f := range strings.Fields(line) {
		if f[0] == 'O' {
			return f
		}
	}
	return "O0"
}

// hit answers an mg with v, its own key as value.
func (p *peer) hit(line string) {
	key := strings.Fields(line)[1]
	fmt.Fprintf(p.nc, "VA %d f0 c1 t-1 %s\r\n%s\r\n", len(key), opaque(line), key)
}

func get(key string) *mux.Call {
	return &mux.Call{Req: proto.Request{Op: proto.OpGet, Key: key}}
}

func set(key string, value []byte) *mux.Call {
	return &mux.Call{Req: proto.Request{Op: proto.OpSet, Key: key, Value: value}}
}

func mustDo(t testing.TB, c *mux.Conn, call *mux.Call) {
	t.Helper()
	if err := c.Do(context.Background(), call); err != nil {
		t.Fatalf("%v: %v", call.Req.Op, err)
	}
}

// value is what the tests store under a key: any other value is a foreign one.
func value(key string, size int) []byte {
	return bytes.Repeat([]byte(key+"/"), size/(len(key)+1)+1)[:size]
}

// size spreads keys over values that take each way through a connection.
func size(i int) int { return []int{0, 1, 100, 5_000, 20_000, 300_000}[i%6] }

func TestCrowd(t *testing.T) {
	for _, codec := range []proto.Codec{proto.Meta{}, proto.Classic{}, proto.Binary{}} {
		t.Run(fmt.Sprintf("%T", codec), func(t *testing.T) { testCrowd(t, codec) })
	}
}

func testCrowd(t *testing.T, codec proto.Codec) {
	leaktest.Check(t)
	c := dial(t, mux.Config{Codec: codec})
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			buf := make([]byte, 0, 300_002)
			for i := range 12 { // each size twice
				key := fmt.Sprintf("k%d-%d", g, i)
				want := value(key, size(g+i))
				if err := c.Do(t.Context(), set(key, want)); err != nil {
					t.Errorf("set: %v", err)
					return
				}
				call := get(key)
				if i%2 == 0 {
					call.Buf = buf
				}
				if err := c.Do(t.Context(), call); err != nil {
					t.Errorf("get: %v", err)
					return
				}
				if !bytes.Equal(call.Value, want) {
					t.Errorf("%s: got %d bytes, want its own %d", key, len(call.Value), len(want))
				}
			}
		})
	}
	wg.Wait()
	if n := c.InFlight(); n != 0 {
		t.Errorf("in flight at the end: got %d, want 0", n)
	}
}

// Cancelled callers leave, and nobody else notices: neither an error nor a
// value that is not theirs.
func TestCancellations(t *testing.T) {
	leaktest.Check(t)
	c := dial(t, mux.Config{})
	for i := range 60 {
		key := fmt.Sprintf("k%d", i)
		mustDo(t, c, set(key, value(key, size(i))))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var patient, hasty sync.WaitGroup
	for range 16 {
		hasty.Go(func() {
			buf := make([]byte, 0, 300_002)
			for i := 0; ctx.Err() == nil; i++ {
				short, stop := context.WithTimeout(ctx, time.Duration(rand.IntN(500))*time.Microsecond)
				call := get(fmt.Sprintf("k%d", rand.IntN(60)))
				if i%3 == 0 {
					call = set(call.Req.Key, value(call.Req.Key, size(i)))
				}
				call.Buf = buf
				err := c.Do(short, call)
				stop()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
					t.Errorf("hasty caller: %v", err)
					return
				}
			}
		})
	}
	for range 16 {
		patient.Go(func() {
			for range 300 {
				call := get(fmt.Sprintf("k%d", rand.IntN(60)))
				if err := c.Do(context.Background(), call); err != nil {
					t.Errorf("patient caller: %v", err)
					return
				}
				if !bytes.Equal(call.Value, value(call.Req.Key, len(call.Value))) {
					t.Errorf("foreign value for %s", call.Req.Key)
				}
			}
		})
	}
	patient.Wait()
	cancel()
	hasty.Wait()
	mustDo(t, c, get("k1"))
}

func TestCancelledReaderLeavesAtOnce(t *testing.T) {
	leaktest.Check(t)
	promptly(t, cancelledReader)
}

func cancelledReader(t *testing.T) time.Duration {
	c, p := connect(t, mux.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- c.Do(ctx, get("first")) }()
	first := p.line()
	second := make(chan error, 1)
	go func() { second <- c.Do(context.Background(), get("second")) }()
	line := p.line()

	start := time.Now()
	cancel()
	err := <-left
	took := time.Since(start)
	var e *mux.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &e) || !e.Sent {
		t.Errorf("got %#v, want context.Canceled, sent", err)
	}
	p.hit(first)
	p.hit(line)
	if err := <-second; err != nil {
		t.Errorf("the caller behind a cancelled one: %v", err)
	}
	return took
}

// A lone caller that leaves has its reply drained, by nobody who stays.
func TestDrain(t *testing.T) {
	leaktest.Check(t)
	c, p := connect(t, mux.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- c.Do(ctx, get("a")) }()
	line := p.line()
	cancel()
	<-left
	p.hit(line)
	waitFor(t, "the reply to be drained", func() bool { return c.InFlight() == 0 })
	go func() { p.hit(p.line()) }()
	mustDo(t, c, get("b"))
}

func TestSilentServer(t *testing.T) {
	bubble(t, nil, func(nc net.Conn) {
		io.Copy(io.Discard, nc)
	}, func(t *testing.T, c *mux.Conn) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				err := c.Do(context.Background(), get(fmt.Sprint("k", i)))
				if !errors.Is(err, mux.ErrStalled) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want ErrStalled, a DeadlineExceeded", err)
				}
			})
		}
		wg.Wait()
		if !errors.Is(c.Err(), mux.ErrStalled) {
			t.Errorf("connection: got %v, want ErrStalled", c.Err())
		}
	})
}

// While replies keep coming, a call that is too old leaves alone.
func TestSlowServer(t *testing.T) {
	const callers = 6
	bubble(t, nil, func(nc net.Conn) {
		p := &peer{t, nc, bufio.NewReader(nc)}
		var lines []string
		for range callers {
			lines = append(lines, p.line())
		}
		for _, line := range lines {
			p.hit(line)
			time.Sleep(400 * time.Millisecond) // of a second
		}
	}, func(t *testing.T, c *mux.Conn) {
		errs := make([]error, callers)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = c.Do(context.Background(), get(fmt.Sprint("k", i))) })
			synctest.Wait()
		}
		wg.Wait()
		for i, want := range []error{nil, nil, nil, mux.ErrTimeout, mux.ErrTimeout, mux.ErrTimeout} {
			if !errors.Is(errs[i], want) {
				t.Errorf("slow reply %d of %d: got %v, want %v", i, callers, errs[i], want)
			}
		}
		time.Sleep(2 * time.Second)
		if c.InFlight() != 0 || c.Err() != nil {
			t.Errorf("after the last reply %d calls are in flight, and the connection's end is %v, want none", c.InFlight(), c.Err())
		}
	})
}

func TestStrayBytes(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		strict       bool
		stray        func(p *peer, line string)
	}{
		{"behind a reply", "a duplicated reply is nobody's", false, func(p *peer, line string) { p.hit(line); p.hit(line) }},
		{"on an idle connection", "classic replies do not say what they answer", true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Check(t)
			c, p := connect(t, mux.Config{Strict: test.strict})
			if test.stray != nil {
				go func() { test.stray(p, p.line()) }()
				c.Do(context.Background(), get("a"))
			} else {
				io.WriteString(p.nc, "EN\r\n")
			}
			waitFor(t, "the connection to be found dead", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				c.Do(ctx, get("b"))
				return c.Err() != nil
			})
			if !errors.Is(c.Err(), proto.ErrProtocol) {
				t.Errorf("%s: got %v, want ErrProtocol", test.reason, c.Err())
			}
		})
	}
}

// A connection that the server has closed is found dead before a request is
// risked on it.
func TestClosedWhileIdle(t *testing.T) {
	leaktest.Check(t)
	c, p := connect(t, mux.Config{Strict: true})
	p.nc.Close()
	var e *mux.Error
	err := c.Do(context.Background(), set("a", []byte("v")))
	if !errors.As(err, &e) || e.Sent || !errors.Is(err, io.EOF) {
		t.Errorf("got %#v, want EOF, not sent", err)
	}
}

func TestForeignReply(t *testing.T) {
	leaktest.Check(t)
	c, p := connect(t, mux.Config{})
	go func() { p.hit(strings.Replace(p.line(), "O", "O9", 1)) }()
	if err := c.Do(context.Background(), get("a")); !errors.Is(err, proto.ErrProtocol) {
		t.Errorf("a reply to another request: got %v, want ErrProtocol", err)
	}
	if err := c.Do(context.Background(), get("b")); !errors.Is(err, proto.ErrProtocol) {
		t.Errorf("on the dead connection: got %v, want ErrProtocol", err)
	}
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
