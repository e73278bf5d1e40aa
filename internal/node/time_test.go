package node

import (
	"bufio"
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

	"github.com/seed99545744/msm/internal/memnet"
	"github.com/seed99545744/msm/internal/mux"
	"github.com/seed99545744/msm/internal/proto"
)

// inBubble runs a scene with a Node, whose Timeout and DialTimeout are a second,
// in a bubble. Its server answers version; answer sees the other lines, with the
// number of their connection, and says what follows on them: "" for nothing,
// "close" for the end.
func inBubble(t *testing.T, answer func(conn int, line string) string, scene func(t *testing.T, n *Node)) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		l, err := network.Listen("server")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		serve := func(conn int, nc net.Conn) {
			defer nc.Close()
			for r := bufio.NewReader(nc); ; {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				reply := "VERSION 1.6.18\r\n"
				if !strings.HasPrefix(line, "version") {
					reply = answer(conn, strings.TrimSpace(line))
				}
				if reply == "close" {
					return
				}
				if _, err := io.WriteString(nc, reply); err != nil {
					return
				}
			}
		}
		wg.Go(func() { // ends with the listener; the others with their connections
			for conn := 1; ; conn++ {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { serve(conn, nc) })
			}
		})
		cfg := config("server")
		cfg.Protocol, cfg.Timeout, cfg.DialTimeout = Classic, time.Second, time.Second
		cfg.DialContext = network.DialContext
		n := New(cfg)
		scene(t, n)
		n.Close()
		l.Close()
		wg.Wait()
	})
}

// TestRepeatWithinTimeout: a read that is repeated has no second Timeout.
func TestRepeatWithinTimeout(t *testing.T) {
	inBubble(t, func(conn int, _ string) string {
		if conn == 1 {
			time.Sleep(700 * time.Millisecond)
			return "close"
		}
		return ""
	}, func(t *testing.T, n *Node) {
		begin := time.Now()
		_, err := n.Do(t.Context(), get("key"))
		if d := time.Since(begin); !errors.Is(err, mux.ErrTimeout) || d != time.Second {
			t.Errorf("got %v after %v, want ErrTimeout after 1 s", err, d)
		}
		if s := n.Stats(); s.Dials != 2 || s.Timeouts != 1 {
			t.Errorf("got %+v, want 2 connections and 1 timeout", s)
		}
	})
}

// TestDialWithinTimeout: what the wait for a connection has taken, the answer
// has not.
func TestDialWithinTimeout(t *testing.T) {
	inBubble(t, func(int, string) string { return "" }, func(t *testing.T, n *Node) {
		dial := n.cfg.DialContext
		n.cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(700 * time.Millisecond)
			return dial(ctx, network, addr)
		}
		begin := time.Now()
		_, err := n.Do(t.Context(), get("key"))
		if d := time.Since(begin); !errors.Is(err, mux.ErrTimeout) || d != time.Second {
			t.Errorf("got %v after %v, want ErrTimeout after 1 s", err, d)
		}
	})
}

// TestOldStall: a connection that died of silence when all its callers had left
// says nothing of the server as it is by the time when somebody looks.
func TestOldStall(t *testing.T) {
	inBubble(t, func(conn int, _ string) string {
		if conn == 1 {
			return ""
		}
		return "END\r\n"
	}, func(t *testing.T, n *Node) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := n.Do(ctx, get("key")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		time.Sleep(time.Hour)
		call, err := n.Do(t.Context(), get("key"))
		if err != nil || call.Rep.Status != proto.StatusMiss {
			t.Errorf("an hour later: got %v, want a miss", err)
		}
	})
}

// TestStartAll: calls that are started together go over one connection, also
// when others make it crowded, but for large ones, which have their own.
func TestStartAll(t *testing.T) {
	lines := make(map[int][]string)
	var mu sync.Mutex // guards lines
	inBubble(t, func(conn int, line string) string {
		mu.Lock()
		lines[conn] = append(lines[conn], line)
		mu.Unlock()
		if strings.HasPrefix(line, "set") {
			return "" // the answer comes behind the value
		}
		if line[0] == 'x' {
			return "STORED\r\n"
		}
		return "NOT_FOUND\r\n"
	}, func(t *testing.T, n *Node) {
		do(t, n, newCall(proto.Request{Op: proto.OpDelete, Key: "first"}))
		_, d := n.dial(&n.slots[1])
		<-d.done
		var calls []*Call
		for i := range 2 * crowd {
			call := newCall(proto.Request{Op: proto.OpDelete, Key: "key"})
			if i == crowd/2 {
				call = set("large", strings.Repeat("x", large))
			}
			calls = append(calls, call)
		}
		started, err := n.StartAll(t.Context(), calls)
		if err != nil || started != len(calls) {
			t.Errorf("got %d started, %v, want all", started, err)
		}
		for i, call := range calls {
			if _, err := n.Wait(t.Context(), call); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(lines[1]) != 2*crowd || len(lines[2]) != 2 {
			t.Errorf("got %d and %d lines, want all over the first connection, but for the large one and its value", len(lines[1]), len(lines[2]))
		}
	})
}

// TestStartAllStops: an invalid call ends it; those before it are under way.
func TestStartAllStops(t *testing.T) {
	inBubble(t, func(int, string) string { return "NOT_FOUND\r\n" }, func(t *testing.T, n *Node) {
		calls := []*Call{}
		for _, key := range []string{"a", "b", "c d", "e"} {
			calls = append(calls, newCall(proto.Request{Op: proto.OpDelete, Key: key}))
		}
		started, err := n.StartAll(t.Context(), calls)
		if started != 2 || !errors.Is(err, proto.ErrKey) {
			t.Errorf("got %d started, %v, want 2 and ErrKey", started, err)
		}
		for _, call := range calls[:2] {
			if _, err := n.Wait(t.Context(), call); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestHandshakeGarbage: a server that says anything at all, at any speed, gets no
// request, and costs DialTimeout at most.
func TestHandshakeGarbage(t *testing.T) {
	parts := []string{
		"VERSION", " 1.6.18", " ", "\r\n", "\n", "END", "CLIENT_ERROR unauthenticated", "SERVER_ERROR x", "STORED", "\x81\x0b\x00\x00",
		"\x00\x00\x00\x01", "\x80", strings.Repeat("x", 3000), strings.Repeat("\x00", 30), "\xff",
	}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		synctest.Test(t, func(t *testing.T) {
			cfg := config("server")
			cfg.Protocol, cfg.Timeout, cfg.DialTimeout = Protocol(seed%4), time.Minute, time.Second
			if seed%8 >= 4 {
				cfg.Username, cfg.Password = "alice", "secret"
			}
			var wg sync.WaitGroup
			var network memnet.Network
			l, err := network.Listen("server")
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { // ends with the connection, or when all is said
				nc, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				for range rng.IntN(20) {
					if _, err := io.WriteString(nc, parts[rng.IntN(len(parts))]); err != nil {
						return
					}
					time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
				}
			})
			cfg.DialContext = network.DialContext
			n := New(cfg)
			begin := time.Now()
			_, err = n.Do(t.Context(), get("key"))
			if d := time.Since(begin); err == nil || d > time.Second {
				t.Errorf("seed %d: got %v after %v, want an error within a second", seed, err, d)
			}
			if strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("seed %d: the error tells the password: %v", seed, err)
			}
			n.Close()
			l.Close()
			wg.Wait()
		})
	}
}
