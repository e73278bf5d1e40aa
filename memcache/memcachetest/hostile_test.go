package memcachetest

import (
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// survives wants a server that still serves others.
func survives(t *testing.T, s *Server) {
	t.Helper()
	dial(t, s).want("set alive 0 0 1\r\nv\r\nget alive\r\n", "STORED\r\nVALUE alive 0 1\r\nv\r\nEND\r\n")
}

// Whatever comes, the server lives, answers others and lets go of connections.
func TestGarbage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	words := []string{
		"get", "gets", "set", "cas", "mg", "ms", "md", "ma", "mn", "me", "incr", "touch", "gat", "stats", "flush_all", "k",
		"0", "1", "-1", "4294967296", "99999999999999999999", "T0", "N0", "C1", "q", "v", "b", "O", "\x00", "\r", "noreply",
		"\xff", " ", "\r\n", "\r\n", "\r\n", packet(1, "k", "\x00\x00\x00\x00\x00\x00\x00\x00", "v"), "\x80", "\x81", strings.Repeat("x", 300),
	}
	onEach(t, func(t *testing.T, s *Server) {
		for range 200 {
			var b strings.Builder
			if rnd.IntN(3) == 0 {
				b.WriteByte(binaryRequest)
			}
			for range rnd.IntN(60) {
				if rnd.IntN(3) == 0 {
					b.WriteByte(byte(rnd.IntN(256)))
				} else {
					b.WriteString(words[rnd.IntN(len(words))])
					b.WriteByte(' ')
				}
			}
			nc := dial(t, s).nc
			io.WriteString(nc, b.String()) // it may hang up at any time
			nc.(interface{ CloseWrite() error }).CloseWrite()
			nc.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.Copy(io.Discard, nc); err != nil && isTimeout(err) {
				t.Fatalf("no end of connection after %q", b.String())
			}
		}
		survives(t, s)
	})
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// Announced lengths cost no memory before the bytes are there, beyond one item
// for each connection.
func TestAnnouncedLengths(t *testing.T) {
	announcements := []struct{ name, send string }{
		{"classic", "set k 0 0 2147483645\r\n"},
		{"meta", "ms k 2147483645\r\n"},
		{"binary value", packet(1, "k", strings.Repeat("\x00", 8), "")[:8] + "\xff\xff\xff\xff" + strings.Repeat("\x00", 12)},
		{"binary unknown", "\x80\x77" + strings.Repeat("\x00", 6) + "\xff\xff\xff\xff" + strings.Repeat("\x00", 12)},
		{"binary get", "\x80\x00\x00\x01" + strings.Repeat("\x00", 4) + "\xff\xff\xff\xff" + strings.Repeat("\x00", 12)},
		{"binary key", "\x80\x00\xff\xff" + strings.Repeat("\x00", 4) + "\xff\xff\xff\xff" + strings.Repeat("\x00", 12)},
		{"binary sasl", "\x80\x21\x00\x05" + strings.Repeat("\x00", 4) + "\xff\xff\xff\xff" + strings.Repeat("\x00", 12) + "PLAIN"},
		{"authentication", "set k 0 0 2147483645\r\n"},
		{"multi-get", "get " + strings.Repeat("k ", 100_000)},
	}
	for _, tt := range announcements {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Network: new(Network)}
			if tt.name == "authentication" || tt.name == "binary sasl" {
				cfg.Username = "user"
			}
			s := start(t, cfg)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for range 20 {
				io.WriteString(dial(t, s).nc, tt.send)
			}
			for end := time.Now().Add(5 * time.Second); s.Traffic().Received < int64(20*min(len(tt.send), 24)) && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
				t.Errorf("20 announcements cost %d bytes", grown)
			}
		})
	}
}

// A multi-get line has a limit too.
func TestEndlessGet(t *testing.T) {
	s := start(t, Config{Network: new(Network)})
	c := dial(t, s)
	n, err := io.WriteString(c.nc, "get "+strings.Repeat("k ", maxGetLine))
	if err == nil {
		t.Errorf("wrote all %d bytes, want the connection closed", n)
	}
	survives(t, s)
}

// A client that sends byte by byte is understood, one that stops in the middle
// disturbs nobody.
func TestSlowClient(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		for _, cmd := range commands {
			forget(s)
			c := dial(t, s)
			for i := range len(cmd.send) - 1 {
				c.send(cmd.send[i : i+1])
			}
			survivors := dial(t, s)
			survivors.want("mn\r\n", "MN\r\n")
			c.want(cmd.send[len(cmd.send)-1:], cmd.reply)
		}
	})
}

// Replies to pipelined commands come in order and whole, however many there are.
func TestPipeline(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		s.SetItem(Item{Key: "k", Value: []byte(strings.Repeat("v", 1000))})
		c := dial(t, s)
		const n = 2000
		sent := make(chan error, 1)
		go func() { // ends when all is written, or at the deadline of dial
			_, err := io.WriteString(c.nc, strings.Repeat("mg k v O1\r\nget k\r\n", n))
			sent <- err
		}()
		value := strings.Repeat("v", 1000) + "\r\n"
		for range n {
			c.want("", "VA 1000 O1\r\n"+value+"VALUE k 0 1000\r\n"+value+"END\r\n")
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}
