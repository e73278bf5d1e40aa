package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/internal/mux"
	"github.com/seed99545744/msm/internal/proto"
)

func newCall(req proto.Request) *Call { return &Call{Call: mux.Call{Req: req}} }

func get(key string) *Call { return newCall(proto.Request{Op: proto.OpGet, Key: key}) }

func set(key, value string) *Call {
	return newCall(proto.Request{Op: proto.OpSet, Key: key, Value: []byte(value)})
}

func do(t *testing.T, n *Node, call *Call) *Call {
	t.Helper()
	call, err := n.Do(ctx, call)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// TestOrigin: a CAS may travel over every connection that was there when it was
// read, and over no younger one.
func TestOrigin(t *testing.T) {
	leaktest.Check(t)
	n := newNode(t, config(memcached.Start(t).Addr()))
	do(t, n, set("key", "one"))
	first := do(t, n, get("key"))
	swap := func(read *Call, origin Origin) (*Call, error) {
		call := set("key", "two")
		call.Req.CAS, call.Origin = read.Rep.CAS, origin
		return n.Do(ctx, call)
	}

	_, d := n.dial(&n.slots[1]) // a second connection, younger than the read
	<-d.done
	f, err := swap(first, first.Origin)
	if err != nil || f.conn != n.slots[0].conn.Load() {
		t.Errorf("got %v want success over the older connection", err)
	}
	second := do(t, n, get("key"))

	n.slots[0].conn.Load().Close(errors.New("cut"))
	if _, err := swap(first, first.Origin); !errors.Is(err, ErrYounger) {
		t.Errorf("the older one is gone: got %v, want ErrYounger", err)
	}
	if f, err := swap(second, second.Origin); err != nil || f.Rep.Status != proto.StatusOK {
		t.Errorf("read when both were there: got %v, want success over the other", err)
	}
	third := do(t, n, get("key"))
	if _, err := swap(third, Origin{node: 8, dials: 9}); !errors.Is(err, ErrYounger) {
		t.Errorf("read from another node: got %v, want ErrYounger", err)
	}
	if f, err := swap(third, Origin{}); err != nil || f.Rep.Status != proto.StatusOK {
		t.Errorf("unknown origin: got %v, want success", err)
	}
}

// TestCrowd: one connection for few callers, Conns for many, however many.
func TestCrowd(t *testing.T) {
	leaktest.Check(t)
	var mu sync.Mutex
	hold := make(chan struct{})
	s := newScript(t, func(line string) string {
		if line == "version" {
			return "VERSION 1.5.22\r\n"
		}
		mu.Lock()
		h := hold
		mu.Unlock()
		<-h
		return "STORED\r\n"
	})
	cfg := config(s.Addr().String())
	cfg.Conns = 3
	n := newNode(t, cfg)
	var wg sync.WaitGroup
	touch := func(calls int) {
		for range calls {
			wg.Go(func() {
				call := newCall(proto.Request{Op: proto.OpDelete, Key: "key"})
				n.Do(ctx, call) // the answer is beside the point
			})
		}
	}
	touch(crowd - 1)
	eventually(t, "the calls are in flight", func() bool { return n.Stats().InFlight == crowd-1 })
	if got := n.Stats().Conns; got != 1 {
		t.Errorf("%d callers have %d connections, want 1", crowd-1, got)
	}
	eventually(t, "a crowd has three connections", func() bool {
		touch(1)
		return n.Stats().Conns == 3
	})
	touch(5 * crowd)
	eventually(t, "the calls are in flight", func() bool { return n.Stats().InFlight >= 6*crowd })
	if s := n.Stats(); s.Conns != 3 || s.Dials != 3 {
		t.Errorf("got %d connections, %d dials, want 3 and 3", s.Conns, s.Dials)
	}
	close(hold)
	s.Close()
	s.hangUp()
	wg.Wait()
}

// TestLane: what is large goes another way than what is small.
func TestLane(t *testing.T) {
	leaktest.Check(t)
	n := newNode(t, config(memcached.Start(t).Addr()))
	store := func() *conn { return do(t, n, set("large", strings.Repeat("x", large))).conn }
	do(t, n, set("small", "one"))
	if n.Stats().Conns != 1 {
		t.Fatalf("got %d connections, want 1", n.Stats().Conns)
	}
	store()
	eventually(t, "there is a second connection", func() bool { return n.Stats().Conns == 2 })
	second := n.slots[1].conn.Load()
	if store() != second {
		t.Error("a large value to store went over the first connection")
	}
	call := get("large")
	call.Buf = make([]byte, 2*large)
	if do(t, n, call).conn != second {
		t.Error("a get into much memory went over the first connection")
	}
	if do(t, n, set("small", "one")).conn == second || do(t, n, get("small")).conn == second {
		t.Error("small values went over the second connection")
	}
}

// TestWidenRefused: a server that refuses a second connection is not down.
func TestWidenRefused(t *testing.T) {
	leaktest.Check(t)
	s := memcached.Start(t)
	n := newNode(t, config(s.Addr()))
	do(t, n, set("key", "one"))
	n.cfg.DialContext = refuse
	_, d := n.dial(&n.slots[1])
	<-d.done
	if !errors.Is(d.err, ErrDown) {
		t.Errorf("got %v, want ErrDown", d.err)
	}
	do(t, n, get("key"))
	if s := n.Stats(); s.Cause != nil || s.DialErrors != 1 {
		t.Errorf("got %+v, want a node that is up, and 1 dial error", s)
	}
	second := &n.slots[1]
	second.mu.Lock()
	if second.pause.pause == 0 {
		t.Error("the refusal was followed by no pause")
	}
	second.pause.next = time.Now().Add(time.Hour) // on a busy machine the real one is over by now
	second.mu.Unlock()
	n.widen(second)
	if second.dial != nil {
		t.Error("the next dial came without a pause")
	}
}

func TestHasMeta(t *testing.T) {
	tests := []struct {
		version string
		want    bool
		reason  string
	}{
		{"1.6.18", true, "the first whose misses carry an opaque"},
		{"1.6.45", true, "later"},
		{"1.6.21-12-gabcdef", true, "a build from git"},
		{"1.7.0", true, "a minor version that is to come"},
		{"2.0.0", true, "a major version that is to come"},
		{"1.6.17", false, "too old"},
		{"1.6.9", false, "numbers, not texts, are compared"},
		{"1.5.22", false, "too old"},
		{"1.4.15", false, "too old"},
		{"0.5.0", false, "twemproxy"},
		{"mcrouter 38.5.0", false, "a proxy"},
		{"37.0.0 mcrouter", false, "a proxy"},
		{"1.6", false, "not memcached's form"},
		{"1.6.x", false, "no number"},
		{"1.6.-18", false, "no number"},
		{"", false, "nothing"},
	}
	for _, tt := range tests {
		if got := hasMeta(tt.version); got != tt.want {
			t.Errorf("hasMeta(%q) = %v, want %v: %s", tt.version, got, tt.want, tt.reason)
		}
	}
}

func TestText(t *testing.T) {
	opaque := regexp.MustCompile(` O\d+`)
	leaktest.Check(t)
	tests := []struct{ name, version, want string }{
		{"old", "1.6.17", "version|gets key|gets a b"},
		{"new", "1.6.18", "version|mg key v f c O1|mg a v f c O1.0|mg b v f c O1.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, func(line string) string {
				switch {
				case line == "version":
					return "VERSION " + tt.version + "\r\n"
				case line == "mn":
					return "MN\r\n"
				case strings.HasPrefix(line, "mg"):
					return "EN" + line[strings.LastIndex(line, " O"):] + "\r\n"
				}
				return "END\r\n"
			})
			n := newNode(t, config(s.Addr().String()))
			do(t, n, get("key"))
			do(t, n, newCall(proto.Request{Op: proto.OpGetMulti, Keys: []string{"a", "b"}}))
			got := opaque.ReplaceAllString(s.seen(), " O1")
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			_, err := n.Do(ctx, newCall(proto.Request{Op: proto.OpDelete, Key: "key", CAS: 1}))
			if tt.name == "old" && !errors.Is(err, proto.ErrUnsupported) {
				t.Errorf("delete by CAS: got %v, want ErrUnsupported", err)
			}
		})
	}
}

func TestHandshake(t *testing.T) {
	leaktest.Check(t)
	tests := []struct {
		name, reply, user string
		want              error
		text              string
	}{
		{"no memcached", "HTTP/1.1 400 Bad Request\r\n\r\n", "", proto.ErrProtocol, "handshake"},
		{"overloaded", "ERROR Too many open connections\r\n", "", ErrDown, "handshake"},
		{"sick", "SERVER_ERROR sick\r\n", "", ErrDown, "sick"},
		{"two answers", "VERSION 1.6.18\r\nVERSION 1.6.18\r\n", "", proto.ErrProtocol, "first request"},
		{"closed", "close", "", ErrDown, "unexpected EOF"},
		{"login wanted", "CLIENT_ERROR unauthenticated\r\n", "", ErrAuth, "set Username"},
		{"login refused", "CLIENT_ERROR unauthenticated\r\n", "alice", ErrAuth, "Username and Password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, func(line string) string {
				switch {
				case line == "version":
					return tt.reply
				case strings.HasPrefix(line, "set "):
					return ""
				}
				return "CLIENT_ERROR authentication failure\r\n"
			})
			cfg := config(s.Addr().String())
			cfg.Username, cfg.Password = tt.user, "secret"
			n := newNode(t, cfg)
			_, err := n.Do(ctx, get("key"))
			if !errors.Is(err, ErrDown) || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want ErrDown and %v with %q", err, tt.want, tt.text)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
			if tt.user == "" && strings.Contains(s.seen(), "secret") {
				t.Error("credentials were sent unasked")
			}
		})
	}
}

// TestHandshakeHangs: a server that accepts and says nothing costs DialTimeout.
func TestHandshakeHangs(t *testing.T) {
	leaktest.Check(t)
	s := newScript(t, func(string) string { return "" })
	cfg := config(s.Addr().String())
	cfg.DialTimeout = 30 * time.Millisecond
	n := newNode(t, cfg)
	if _, err := n.Do(ctx, get("key")); !errors.Is(err, ErrDown) {
		t.Errorf("got %v, want ErrDown", err)
	}
	if n.Up() {
		t.Error("the node is up")
	}
}

// TestRepeat: what died with its connection is sent again only if it reads.
func TestRepeat(t *testing.T) {
	leaktest.Check(t)
	tests := []struct {
		name   string
		call   *Call
		repeat bool
	}{
		{"get", get("key"), true},
		{"multi-get", newCall(proto.Request{Op: proto.OpGetMulti, Keys: []string{"key"}}), true},
		{"get and touch", newCall(proto.Request{Op: proto.OpGetAndTouch, Key: "key", Exptime: 9}), true},
		{"touch", newCall(proto.Request{Op: proto.OpTouch, Key: "key"}), false},
		{"delete", newCall(proto.Request{Op: proto.OpDelete, Key: "key"}), false},
		{"increment", newCall(proto.Request{Op: proto.OpIncrement, Key: "key", Delta: 1}), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, func(line string) string {
				if line == "version" {
					return "VERSION 1.5.22\r\n"
				}
				return "close"
			})
			n := newNode(t, config(s.Addr().String()))
			_, err := n.Do(ctx, tt.call)
			if err == nil || errors.Is(err, ErrDown) {
				t.Errorf("got %v, want a lost connection", err)
			}
			want := uint64(1)
			if tt.repeat {
				want = 2
			}
			if s := n.Stats(); s.Dials != want || s.Lost != 1 {
				t.Errorf("got %+v, want %d connections and 1 failure", s, want)
			}
		})
	}
}

// TestNoRepeatAfterTimeout: it would only wait twice as long.
func TestNoRepeatAfterTimeout(t *testing.T) {
	leaktest.Check(t)
	s := newScript(t, func(line string) string {
		if line == "version" {
			return "VERSION 1.5.22\r\n"
		}
		return ""
	})
	cfg := config(s.Addr().String())
	cfg.Timeout = 30 * time.Millisecond
	n := newNode(t, cfg)
	begin := time.Now()
	_, err := n.Do(ctx, get("key"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if d := time.Since(begin); d > 30*time.Millisecond+time.Second {
		t.Errorf("took %v, want 30 ms", d)
	}
	eventually(t, "the node is down", func() bool { n.Do(ctx, get("key")); return !n.Up() })
}

// TestPlain: ErrClosed lets the caller go to another node, which must not happen
// to what was sent.
func TestPlain(t *testing.T) {
	n := New(config("127.0.0.1:1"))
	n.Close()
	cut := errors.New("cut")
	tests := []struct {
		name      string
		err, want error
	}{
		{"not sent", &mux.Error{Err: cut}, ErrClosed},
		{"sent", &mux.Error{Err: cut, Sent: true}, cut},
		{"cancelled", &mux.Error{Err: context.Canceled}, context.Canceled},
		{"not dialled", cut, ErrClosed},
	}
	for _, tt := range tests {
		if got := n.plain(tt.err); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestNeverTwice: what may have reached a server that went away is not sent to
// it again, unless it only reads.
func TestNeverTwice(t *testing.T) {
	leaktest.Check(t)
	var mu sync.Mutex // guards the following
	seen := make(map[string]int)
	rng := rand.New(rand.NewPCG(1, 0))
	s := newScript(t, func(line string) string {
		if line == "version" {
			return "VERSION 1.5.22\r\n"
		}
		mu.Lock()
		defer mu.Unlock()
		seen[line]++
		if rng.IntN(50) == 0 {
			return "close"
		}
		return "NOT_FOUND\r\n"
	})
	n := newNode(t, config(s.Addr().String()))
	var wg sync.WaitGroup
	var answered atomic.Int64
	for worker := range 16 {
		wg.Go(func() {
			for i := range 200 {
				call := newCall(proto.Request{Op: proto.OpDelete, Key: fmt.Sprintf("%d-%d", worker, i)})
				if _, err := n.Do(ctx, call); err == nil {
					answered.Add(1)
				}
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	for line, times := range seen {
		if times > 1 {
			t.Errorf("%q reached the server %d times", line, times)
		}
	}
	if d := n.Stats().Dials; d < 5 || answered.Load() < 1000 {
		t.Errorf("%d connections, %d answers: too few to say anything", d, answered.Load())
	}
}
