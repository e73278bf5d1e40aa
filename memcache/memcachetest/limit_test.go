package memcachetest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
)

// The least recently used items go first; a get counts as use, a look from
// outside does not.
func TestEviction(t *testing.T) {
	size := itemSize(2, 100, 0)
	s := start(t, Config{Network: new(Network), MaxMemory: 10 * size})
	c := dial(t, s)
	for i := range 10 {
		c.want(fmt.Sprintf("set k%d 0 0 100\r\n%100d\r\n", i, i), "STORED\r\n")
	}
	c.want("mg k0\r\nmg k1 u\r\n", "HD\r\nHD\r\n") // u does not count either
	s.Get("k2")
	for i := range 3 {
		c.want(fmt.Sprintf("set n%d 0 0 100\r\n%100d\r\n", i, i), "STORED\r\n")
	}
	var got []string
	for _, it := range s.Items() {
		got = append(got, it.Key)
	}
	const want = "n2 n1 n0 k0 k9 k8 k7 k6 k5 k4"
	if strings.Join(got, " ") != want {
		t.Errorf("got %v, want %v", got, want)
	}
	c.want("stats\r\n", "STAT version 1.6.18\r\n")
	rest := make([]byte, 4096)
	n, err := c.r.Read(rest)
	if !strings.Contains(string(rest[:n]), "STAT evictions 3\r\n") {
		t.Errorf("got %q, %v; want 3 evictions in it", rest[:n], err)
	}
}

// Overwriting, growing and removing items keeps the account of their size.
func TestSizeAccount(t *testing.T) {
	s := start(t, Config{Network: new(Network), MaxMemory: 5000})
	c := dial(t, s)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		k, n := rnd.IntN(20), rnd.IntN(300)
		switch rnd.IntN(6) {
		case 0, 1:
			fmt.Fprintf(c.nc, "set k%d %d 0 %d noreply\r\n%s\r\n", k, rnd.IntN(2), n, strings.Repeat("1", n))
		case 2:
			fmt.Fprintf(c.nc, "append k%d 0 0 %d noreply\r\n%s\r\n", k, n, strings.Repeat("1", n))
		case 3:
			fmt.Fprintf(c.nc, "delete k%d noreply\r\n", k)
		case 4:
			fmt.Fprintf(c.nc, "set k%d 0 0 1 noreply\r\n9\r\nincr k%d 1 noreply\r\n", k, k)
		case 5:
			fmt.Fprintf(c.nc, "touch k%d -1 noreply\r\n", k)
		}
	}
	c.want("mn\r\n", "MN\r\n")
	s.Len() // removes what has expired
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	sum := 0
	for _, it := range s.store.items {
		sum += it.size()
	}
	if sum != s.store.size || sum > 5000 || len(s.store.items) == 0 {
		t.Errorf("got %d bytes in %d items and an account of %d, want equal and at most 5000", sum, len(s.store.items), s.store.size)
	}
}

// The largest item is the same as with memcached, for keys and flags of any
// length, over all three protocols.
func TestLargestItem(t *testing.T) {
	real := memcached.Start(t)
	s := start(t, Config{})
	flags := "\x00\x00\x00\x01\x00\x00\x00\x00"
	for _, key := range []string{"k", strings.Repeat("k", 250)} {
		largest := 1<<20 - itemOverhead - len(key)
		for _, n := range []int{largest - flagsOverhead, largest - flagsOverhead + 1, largest, largest + 1} {
			value := strings.Repeat("v", n)
			for _, cmd := range []struct{ name, send string }{
				{"set", fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, n, value)},
				{"set with flags", fmt.Sprintf("set %s 1 0 %d\r\n%s\r\n", key, n, value)},
				{"ms with flags", fmt.Sprintf("ms %s %d F1\r\n%s\r\n", key, n, value)},
				{"binary set with flags", packet(0x01, key, flags, value)},
			} {
				got, want := accepts(t, dial(t, s), cmd.send), accepts(t, dialTCP(t, real.Addr()), cmd.send)
				if got != want {
					t.Errorf("%s of %d+%d bytes: accepted %v, memcached %v", cmd.name, len(key), n, got, want)
				}
			}
		}
	}
}

// accepts tells whether a storage command succeeds.
func accepts(t *testing.T, c *client, send string) bool {
	t.Helper()
	c.send(send)
	head := make([]byte, 8)
	n, err := io.ReadAtLeast(c.r, head, 3)
	if err != nil {
		t.Fatal(err)
	}
	c.nc.Close()
	switch {
	case head[0] == binaryResponse:
		return head[7] == 0
	default:
		return string(head[:min(n, 6)]) == "STORED" || string(head[:2]) == "HD"
	}
}

// A refused store takes the old item with it if memcached's would, so that
// nobody reads what its writer holds for gone; appending keeps it.
func TestTooLargeDeletes(t *testing.T) {
	big := strings.Repeat("x", 2000)
	tests := []struct {
		name, send, reply string
		keeps             bool
	}{
		{"set", "set k 0 0 2000\r\n" + big + "\r\n", tooBig + "\r\n", false},
		{"set that flags make too large", "set k 1 0 963\r\n" + big[:963] + "\r\n", tooBig + "\r\n", false},
		{"add", "add k 0 0 2000\r\n" + big + "\r\n", tooBig + "\r\n", true},
		{"append", "append k 0 0 2000\r\n" + big + "\r\n", tooBig + "\r\n", true},
		{"append that outgrows", "append k 0 0 960\r\n" + big[:960] + "\r\n", "NOT_STORED\r\n", true},
		{"ms append that outgrows", "ms k 960 MA O1\r\n" + big[:960] + "\r\n", "NS O1\r\n", true},
		{"cas", "cas k 0 0 2000 1\r\n" + big + "\r\n", tooBig + "\r\n", true},
		{"ms", "ms k 2000\r\n" + big + "\r\n", tooBig + "\r\n", false},
		{"ms add", "ms k 2000 ME\r\n" + big + "\r\n", tooBig + "\r\n", false},
		{"binary set", packet(0x01, "k", strings.Repeat("\x00", 8), big), answer(0x01, statusTooLarge, "Too large."), false},
		{"binary set that flags make too large", packet(0x01, "k", "\x00\x00\x00\x01\x00\x00\x00\x00", big[:963]), answer(0x01, statusTooLarge, "Too large."), false},
		{"binary add", packet(0x02, "k", strings.Repeat("\x00", 8), big), answer(0x02, statusTooLarge, "Too large."), true},
		{"binary append", packet(0x0e, "k", "", big[:960]), answer(0x0e, statusNotStored, "Not stored."), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Config{Network: new(Network), MaxItemSize: 1024})
			s.SetItem(Item{Key: "k", Value: []byte("old value")})
			dial(t, s).want(tt.send, tt.reply)
			if _, ok := s.Get("k"); ok != tt.keeps {
				t.Errorf("the old item is there: %v, want %v", ok, tt.keeps)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	tests := []struct {
		name, store string
		lives       time.Duration // 0: for ever
	}{
		{"relative", "set k 0 10 1\r\nv\r\n", 10 * time.Second},
		{"30 days are relative", "set k 0 2592000 1\r\nv\r\n", 30 * 24 * time.Hour},
		{"a date", "set k 0 946684810 1\r\nv\r\n", 10 * time.Second}, // bubbles begin at the year 2000
		{"never", "set k 0 0 1\r\nv\r\n", 0},
		{"touch", "set k 0 1 1\r\nv\r\ntouch k 20\r\n", 20 * time.Second},
		{"touch with never", "set k 0 1 1\r\nv\r\ntouch k 0\r\n", 0},
		{"gat", "set k 0 1 1\r\nv\r\ngat 20 k\r\n", 20 * time.Second},
		{"meta", "ms k 1 T10\r\nv\r\n", 10 * time.Second},
		{"meta get and touch", "ms k 1 T10\r\nv\r\nmg k T20\r\n", 20 * time.Second},
		{"append keeps it", "set k 0 10 1\r\nv\r\nappend k 0 99 1\r\nw\r\n", 10 * time.Second},
		{"incr keeps it", "set k 0 10 1\r\n1\r\nincr k 5\r\n", 10 * time.Second},
		{"ma can change it", "set k 0 10 1\r\n1\r\nma k T20\r\n", 20 * time.Second},
		{"created by mg", "mg k N10\r\n", 10 * time.Second},
		{"created by ma", "ma k N10\r\n", 10 * time.Second},
		{"binary", packet(0x01, "k", "\x00\x00\x00\x00\x00\x00\x00\x0a", "v"), 10 * time.Second},
		{"created by binary incr", packet(0x05, "k", strings.Repeat("\x00", 19)+"\x0a", ""), 10 * time.Second},
		{"flush_all in 10 s", "set k 0 0 1\r\nv\r\nflush_all 10\r\n", 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewMemServer()
				defer s.Close()
				c := dial(t, s)
				c.send(tt.store)
				synctest.Wait()
				end := tt.lives
				if end == 0 {
					end = 10 * 365 * 24 * time.Hour
				}
				time.Sleep(end - time.Nanosecond)
				if _, ok := s.Get("k"); !ok {
					t.Fatalf("gone before %v", end)
				}
				time.Sleep(time.Nanosecond)
				if it, ok := s.Get("k"); ok != (tt.lives == 0) {
					t.Errorf("after %v: got %v, %v", end, it, ok)
				}
				c.nc.Close()
			})
		})
	}
}
