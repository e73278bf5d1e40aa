package mux_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
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

// Flags to look for longer, and to repeat what was found.
var (
	stressFor  = flag.Duration("stress", 100*time.Millisecond, "how long each case of the stress tests tries new seeds")
	stressSeed = flag.Uint64("seed", 0, "the only seed that the stress tests try, if not 0")
)

const (
	stressCallers = 24
	stressOps     = 12
)

// temper is what a hostile server does, and how often: once in so many replies.
// 0 is never.
type temper struct {
	name                 string
	pause, stall, hang   int // for up to 2 ms, up to half the timeout, longer than it
	pieces               int // sends a reply in bits, with pauses
	refuse               int // refuses a value before it has read it
	deaf                 int // never reads on after such a refusal
	drop, foreign, twice int // closes in the middle; another key's reply; a reply twice
}

var tempers = []temper{
	{name: "slow", pause: 4, pieces: 4, refuse: 10},
	{name: "stalling", pause: 4, pieces: 8, stall: 30, hang: 300, refuse: 10},
	{name: "hostile", pause: 8, pieces: 8, stall: 60, hang: 400, refuse: 10, deaf: 30, drop: 50, foreign: 100, twice: 100},
}

// TestStress lets callers with every kind of call, and every way to leave, loose
// on a server that answers as badly as it can. Time is that of a bubble: nobody
// may stay a moment longer than its ctx or Timeout.
func TestStress(t *testing.T) {
	for _, codec := range []proto.Codec{proto.Meta{}, proto.Classic{}, proto.Binary{}} {
		for _, mood := range tempers {
			t.Run(fmt.Sprintf("%T/%s", codec, mood.name), func(t *testing.T) {
				overSeeds(t, func(t *testing.T, seed uint64) {
					synctest.Test(t, func(t *testing.T) {
						var network memnet.Network
						s := &stress{T: t, seed: seed, codec: codec, temper: mood, moment: 100 * time.Millisecond, timeout: 100 * time.Millisecond, slack: 2 * time.Millisecond}
						s.listen(network.Listen("server"))
						s.dial = func() (net.Conn, error) { return network.DialContext(context.Background(), "mem", "server") }
						s.run()
					})
				})
			})
		}
	}
}

// TestStressSockets is the same over real sockets, with small buffers. Time is
// real, and the machine may be late: callers wait for longer than servers stall.
func TestStressSockets(t *testing.T) {
	leaktest.Check(t)
	for _, codec := range []proto.Codec{proto.Meta{}, proto.Classic{}} {
		for _, mood := range tempers {
			t.Run(fmt.Sprintf("%T/%s", codec, mood.name), func(t *testing.T) {
				t.Parallel() // most of the time everybody waits
				overSeeds(t, func(t *testing.T, seed uint64) {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					s := &stress{T: t, seed: seed, codec: codec, temper: mood, moment: 5 * time.Millisecond, timeout: 5 * time.Second, slack: 10 * time.Second}
					s.listen(l, nil)
					s.dial = func() (net.Conn, error) {
						nc, err := net.Dial("tcp", l.Addr().String())
						if err == nil {
							nc.(*net.TCPConn).SetWriteBuffer(64 << 10) // as fresh sockets have
						}
						return nc, err
					}
					s.run()
				})
			})
		}
	}
}

// overSeeds calls f with one seed after the other until the time is over.
func overSeeds(t *testing.T, f func(t *testing.T, seed uint64)) {
	if *stressSeed != 0 {
		f(t, *stressSeed)
		return
	}
	seed := uint64(1)
	for begin := time.Now(); time.Since(begin) < *stressFor && !t.Failed(); seed++ {
		f(t, seed)
	}
	t.Logf("%d seeds", seed-1)
}

// stress is one run of callers against servers.
type stress struct {
	*testing.T
	seed   uint64
	codec  proto.Codec
	temper temper
	dial   func() (net.Conn, error)

	moment  time.Duration // what a server's stalls are measured by
	timeout time.Duration // of the connections
	slack   time.Duration // how late the machine may be

	listener net.Listener
	servers  sync.WaitGroup

	mu    sync.Mutex // guards the following
	conn  *mux.Conn
	old   []*mux.Conn
	dials uint64
}

func (s *stress) fail(format string, args ...any) {
	s.Helper()
	s.Errorf("-seed %d: "+format, append([]any{s.seed}, args...)...)
}

func (s *stress) listen(l net.Listener, err error) {
	if err != nil {
		s.Fatal(err)
	}
	s.listener = l
	s.servers.Go(func() {
		for n := uint64(0); ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.servers.Go(func() { serve(s, nc, rand.New(rand.NewPCG(s.seed, n))) })
		}
	})
}

// current returns a connection that lives.
func (s *stress) current() *mux.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.conn.Err() == nil {
		return s.conn
	}
	nc, err := s.dial()
	if err != nil {
		s.fail("dial: %v", err)
		return s.conn
	}
	if s.conn != nil {
		s.old = append(s.old, s.conn)
	}
	_, strict := s.codec.(proto.Classic)
	s.conn = mux.New(nc, mux.Config{Codec: s.codec, Timeout: s.timeout, Strict: strict})
	s.dials++
	return s.conn
}

func (s *stress) run() {
	var callers sync.WaitGroup
	for i := range stressCallers {
		callers.Go(func() {
			c := &caller{stress: s, rng: rand.New(rand.NewPCG(s.seed, 1000+uint64(i)))}
			for range stressOps {
				c.step()
			}
			c.checkBufs()
		})
	}
	callers.Wait()
	// What is left is drained, or dies of its silence.
	c := s.current()
	c.CloseIdle(errors.New("over"))
	wait := time.NewTimer(20*s.timeout + mux.MaxInFlight*s.moment/20)
	defer wait.Stop()
	select {
	case <-c.Dead():
	case <-wait.C:
		s.fail("%d calls are still in flight", c.InFlight())
	}
	for _, c := range append(s.old, c) {
		c.Close(net.ErrClosed)
	}
	s.listener.Close()
	s.servers.Wait()
}

// caller is a goroutine that uses the connection.
type caller struct {
	*stress
	rng  *rand.Rand
	bufs [][]byte // left behind in calls, filled with mine
}

// mine fills memory that nobody else may write to any more.
var mine = bytes.Repeat([]byte("mine "), 100<<10)

func (c *caller) key() string { return fmt.Sprintf("key-%d", c.rng.IntN(50)) }

func (c *caller) size() int {
	switch c.rng.IntN(20) {
	case 0:
		return c.rng.IntN(400 << 10)
	case 1, 2, 4:
		return 14<<10 + c.rng.IntN(6<<10) // around the limits of copies and direct reads
	case 3:
		return 0
	}
	return c.rng.IntN(2000)
}

// step is one operation, of one call or several.
func (c *caller) step() {
	ctx, cancel := context.Background(), func() {}
	limit := time.Duration(math.MaxInt64)
	switch c.rng.IntN(4) {
	case 0:
		limit = time.Duration(c.rng.IntN(5000)) * time.Microsecond
		ctx, cancel = context.WithTimeout(ctx, limit)
	case 1:
		after := time.Duration(c.rng.IntN(200)) * time.Millisecond
		limit = after
		ctx, cancel = context.WithCancel(ctx)
		defer time.AfterFunc(after, cancel).Stop()
	}
	defer cancel()
	calls := []*mux.Call{c.call()}
	if c.rng.IntN(4) == 0 {
		for range c.rng.IntN(60) {
			calls = append(calls, c.call())
		}
	}
	conn := c.current()
	begin := time.Now()
	var started []*mux.Call
	for i, call := range calls {
		call.More = i+1 < len(calls)
		if err := conn.Start(ctx, call); err != nil {
			c.failed(ctx, call, err)
			continue
		}
		started = append(started, call)
	}
	for _, call := range started {
		err := conn.Wait(ctx, call)
		if err != nil {
			c.failed(ctx, call, err)
			continue
		}
		c.answered(call)
	}
	if len(calls) == 1 {
		limit = min(limit, c.timeout)
	}
	if took := time.Since(begin) - c.slack; took > limit {
		c.fail("%d calls, the first %v: took %v, want %v at most", len(calls), calls[0].Req.Op, took, limit)
	}
}

// call makes a call at random.
func (c *caller) call() *mux.Call {
	call := &mux.Call{Req: proto.Request{Op: proto.OpGet, Key: c.key()}}
	switch c.rng.IntN(8) {
	case 0, 1:
		call.Req.Op = proto.OpSet
		call.Req.Value = value(call.Req.Key, c.size())
	case 2:
		call.Req.Op = proto.OpDelete
	case 3:
		call.Req.Op = proto.OpGetMulti
		for range 1 + c.rng.IntN(20) {
			call.Req.Keys = append(call.Req.Keys, c.key())
		}
	case 4, 5:
		call.Buf = make([]byte, c.size()+c.rng.IntN(3))
	}
	return call
}

// answered looks at what came back.
func (c *caller) answered(call *mux.Call) {
	if call.Value != nil && !bytes.Equal(call.Value, value(call.Req.Key, len(call.Value))) {
		c.fail("get of %s: a foreign value of %d bytes, %.40q", call.Req.Key, len(call.Value), call.Value)
	}
	if n := len(call.Value); n > 0 && n <= cap(call.Buf) && &call.Value[0] != &call.Buf[:1][0] {
		c.fail("%d bytes are not in the buffer of %d", n, cap(call.Buf))
	}
	for _, item := range call.Items {
		if key := call.Req.Keys[item.Index]; !bytes.Equal(item.Value, value(key, len(item.Value))) {
			c.fail("multi-get of %s: a foreign value of %d bytes", key, len(item.Value))
		}
	}
	c.reclaim(call)
}

// failed looks at why a call came to nothing.
func (c *caller) failed(ctx context.Context, call *mux.Call, err error) {
	var e *mux.Error
	switch {
	case !errors.As(err, &e):
		c.fail("%v: %v, which is no *mux.Error", call.Req.Op, err)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
	case errors.Is(err, context.Canceled):
		c.fail("%v: %v, but its own ctx lives", call.Req.Op, err)
	case errors.Is(err, mux.ErrTimeout):
	case c.temper.hang == 0 && c.temper.drop == 0:
		c.fail("%v: %v, of a server that is only slow", call.Req.Op, err)
	case c.temper.drop == 0 && c.temper.deaf == 0 && !errors.Is(err, mux.ErrStalled):
		c.fail("%v: %v, of a server that only stalls", call.Req.Op, err)
	}
	c.reclaim(call)
}

// reclaim uses the memory of a call that is over for something else.
func (c *caller) reclaim(call *mux.Call) {
	copy(call.Req.Value, mine)
	if buf := call.Buf[:cap(call.Buf)]; len(buf) > 0 {
		copy(buf, mine)
		c.bufs = append(c.bufs, buf)
	}
	if len(c.bufs) > 8 {
		c.checkBufs()
	}
}

func (c *caller) checkBufs() {
	for _, buf := range c.bufs {
		if !bytes.HasPrefix(mine, buf) {
			c.fail("a buffer of %d bytes was written to after its call was over", len(buf))
		}
	}
	c.bufs = nil
}
