//go:build unix

package mux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed99545744/msm/internal/mux"
)

// TestSockets sends more than the buffers of a socket hold, small values and, past
// the socket type, large ones, to a peer that answers by bits.
func TestSockets(t *testing.T) {
	mux.OnNetworks(t, func(t *testing.T, network string) {
		near, p := dialPeer(t, network)
		c := open(t, near, mux.Config{})
		small, large := value("s", 12<<10), value("l", 1<<20)
		go func() { // ends with the connection
			for {
				line, err := p.r.ReadString('\n')
				if err != nil {
					return
				}
				size := len(small)
				if line[3] == 'l' {
					size = len(large)
				}
				io.CopyN(io.Discard, p.r, int64(size)+2)
				io.WriteString(p.nc, "HD c7 ")
				io.WriteString(p.nc, opaque(line)+"\r")
				io.WriteString(p.nc, "\n")
			}
		}()
		for range 10 {
			for _, call := range []*mux.Call{set("s", small), set("l", large)} {
				if mustDo(t, c, call); call.Rep.CAS != 7 {
					t.Errorf("got %+v", call.Rep)
				}
			}
		}
	})
}

func TestSocketErrors(t *testing.T) {
	mux.OnNetworks(t, func(t *testing.T, network string) {
		for _, tt := range []struct {
			name string
			read func(p *peer) // before it closes
			want error
		}{
			{"closed", func(p *peer) { p.line() }, io.EOF},
			{"reset", func(p *peer) { p.nc.Read(make([]byte, 1)) }, syscall.ECONNRESET}, // for what it has not read
		} {
			t.Run(tt.name, func(t *testing.T) {
				near, p := dialPeer(t, network)
				c := open(t, near, mux.Config{})
				go func() { // ends with the request
					tt.read(p)
					p.nc.Close()
				}()
				err := c.Do(context.Background(), get("key"))
				var e *mux.Error
				if !errors.As(err, &e) || !e.Sent || !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		}
	})
}

// seen is a connection whose owner wants to see what comes and goes.
type seen struct {
	*net.TCPConn
	read, written atomic.Int64
}

func (c *seen) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

func (c *seen) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// TestWrappedSocket: nothing goes past what a DialContext has put around a socket.
func TestWrappedSocket(t *testing.T) {
	near, p := dialPeer(t, "tcp")
	nc := &seen{TCPConn: near.(*net.TCPConn)}
	c := open(t, nc, mux.Config{})
	go func() { p.hit(p.line()) }() // ends with the request
	mustDo(t, c, get("key"))
	if nc.read.Load() == 0 || nc.written.Load() == 0 {
		t.Errorf("seen: %d bytes read, %d written", nc.read.Load(), nc.written.Load())
	}
}
