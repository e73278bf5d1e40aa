package memcache_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// wire is a network that damages what a server sends.
type wire struct {
	net.Listener
	server string
	damage atomic.Pointer[damage] // nil: none

	wg    sync.WaitGroup
	mu    sync.Mutex // guards the following
	pairs map[*net.TCPConn]*net.TCPConn
}

// damage turns what the server has sent in one piece into what arrives, and
// says how the connection ends then, if it does.
type damage func(rng *rand.Rand, piece []byte) ([]byte, ending)

type ending uint8

const (
	goOn ending = iota
	fin
	rst
)

// newWire connects clients of its address with server until the test is over.
func newWire(t *testing.T, server string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &wire{Listener: l, server: server, pairs: make(map[*net.TCPConn]*net.TCPConn)}
	t.Cleanup(func() {
		l.Close()
		w.cut(fin)
		w.wg.Wait()
	})
	// Ends when the listener is closed; the others with their connections.
	w.wg.Go(func() {
		for seed := uint64(1); ; seed++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			w.join(nc.(*net.TCPConn), rand.New(rand.NewPCG(seed, 0)))
		}
	})
	return w
}

func (w *wire) addr() string { return w.Addr().String() }

func (w *wire) join(client *net.TCPConn, rng *rand.Rand) {
	nc, err := net.Dial("tcp", w.server)
	if err != nil {
		client.Close()
		return
	}
	server := nc.(*net.TCPConn)
	w.mu.Lock()
	w.pairs[client] = server
	w.mu.Unlock()
	w.wg.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	w.wg.Go(func() {
		w.carry(client, server, rng)
		server.Close()
		w.mu.Lock()
		delete(w.pairs, client)
		w.mu.Unlock()
	})
}

// carry brings the server's bytes to the client, damaged.
func (w *wire) carry(client, server *net.TCPConn, rng *rand.Rand) {
	defer client.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		piece, end := buf[:n], goOn
		if d := w.damage.Load(); d != nil {
			piece, end = (*d)(rng, piece)
		}
		if _, err := client.Write(piece); err != nil {
			return
		}
		switch end {
		case rst:
			client.SetLinger(0)
			return
		case fin:
			return
		}
	}
}

// cut ends all connections.
func (w *wire) cut(end ending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for client, server := range w.pairs {
		if end == rst {
			client.SetLinger(0)
		}
		client.Close()
		server.Close()
	}
}

// halfClose ends what the client can read.
func (w *wire) halfClose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for client := range w.pairs {
		client.CloseWrite()
	}
}

// sometimes does d to one piece in n, and leaves the others alone.
func sometimes(n int, d damage) damage {
	return func(rng *rand.Rand, piece []byte) ([]byte, ending) {
		if rng.IntN(n) > 0 {
			return piece, goOn
		}
		return d(rng, piece)
	}
}

func duplicate(_ *rand.Rand, piece []byte) ([]byte, ending) {
	return append(bytes.Clone(piece), piece...), goOn
}

func truncate(rng *rand.Rand, piece []byte) ([]byte, ending) {
	return piece[:rng.IntN(len(piece))], fin
}

func reset(rng *rand.Rand, piece []byte) ([]byte, ending) {
	return piece[:rng.IntN(len(piece))], rst
}

func late(_ *rand.Rand, piece []byte) ([]byte, ending) {
	time.Sleep(3 * shortTimeout / 2)
	return piece, goOn
}

// Where an ASCII reply says whose it is, and how long it is.
var (
	echo   = regexp.MustCompile(`VALUE \S+| O\d+`)
	length = regexp.MustCompile(`(VALUE \S+ \d+|VA) \d+`)
)

// flip returns the damage that changes a byte of what a reply is verified by:
// the key, or the opaque.
func flip(p memcache.Protocol) damage {
	return func(rng *rand.Rand, piece []byte) ([]byte, ending) {
		piece = bytes.Clone(piece)
		if p == memcache.Binary {
			if len(piece) >= 24 && piece[0] == 0x81 {
				piece[12+rng.IntN(4)] ^= 1 << rng.IntN(8)
			}
			return piece, goOn
		}
		for _, at := range echo.FindAllIndex(piece, -1) {
			piece[at[1]-1] ^= 1 // the last character: 1 for 0, b for c
		}
		return piece, goOn
	}
}

// inflate returns the damage that announces 4 GB.
func inflate(p memcache.Protocol) damage {
	return func(_ *rand.Rand, piece []byte) ([]byte, ending) {
		if p != memcache.Binary {
			return length.ReplaceAll(piece, []byte("$1 4294967295")), goOn
		}
		piece = bytes.Clone(piece)
		if len(piece) >= 24 && piece[0] == 0x81 && binary.BigEndian.Uint32(piece[8:]) > 0 {
			binary.BigEndian.PutUint32(piece[8:], 1<<32-1)
		}
		return piece, goOn
	}
}
