package memnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
)

// network is what the tests compare: memnet with the loopback interface.
type network struct {
	name   string
	listen func(t *testing.T) (l net.Listener, dial func() (net.Conn, error))
}

var networks = []network{
	{"tcp", func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	}},
	{"memory", func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
		n := new(Network)
		l, err := n.Listen("")
		if err != nil {
			t.Fatal(err)
		}
		return l, func() (net.Conn, error) { return n.DialContext(context.Background(), "tcp", l.Addr().String()) }
	}},
}

// onBoth runs a test of a connection over both: what holds for TCP holds here.
func onBoth(t *testing.T, test func(t *testing.T, client, server net.Conn)) {
	for _, n := range networks {
		t.Run(n.name, func(t *testing.T) {
			leaktest.Check(t)
			l, dial := n.listen(t)
			defer l.Close()
			client, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			for _, nc := range []net.Conn{client, server} {
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				defer nc.Close()
			}
			test(t, client, server)
		})
	}
}

func wantRead(t *testing.T, nc net.Conn, want string, wantErr error) {
	t.Helper()
	got := make([]byte, len(want)+1)
	n, err := nc.Read(got)
	if string(got[:n]) != want || !errors.Is(err, wantErr) {
		t.Errorf("read: got %q, %v; want %q, %v", got[:n], err, want, wantErr)
	}
}

// awaitByte returns when there is something to read; it takes the first byte.
func awaitByte(t *testing.T, nc net.Conn) {
	t.Helper()
	if n, err := nc.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("got %d bytes, %v; want one", n, err)
	}
}

func write(t *testing.T, nc net.Conn, s string) {
	t.Helper()
	if n, err := io.WriteString(nc, s); n != len(s) || err != nil {
		t.Fatalf("write %q: got %d, %v", s, n, err)
	}
}

func TestBothDirections(t *testing.T) {
	onBoth(t, func(t *testing.T, client, server net.Conn) {
		write(t, client, "ping") // nobody reads yet: there is a buffer
		write(t, server, "pong")
		wantRead(t, server, "ping", nil)
		wantRead(t, client, "pong", nil)
		if client.RemoteAddr().String() != server.LocalAddr().String() {
			t.Errorf("addresses: got %v and %v, want the same", client.RemoteAddr(), server.LocalAddr())
		}
	})
}

func TestClose(t *testing.T) {
	onBoth(t, func(t *testing.T, client, server net.Conn) {
		write(t, client, "last words")
		client.Close()
		wantRead(t, client, "", net.ErrClosed)
		if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: got %v, want net.ErrClosed", err)
		}
		if err := client.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: got %v, want net.ErrClosed", err)
		}
		wantRead(t, server, "last words", nil)
		wantRead(t, server, "", io.EOF)
		// TCP lets one write pass, whose answer is a reset.
		for end := time.Now().Add(5 * time.Second); ; {
			_, err := server.Write([]byte("x"))
			if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
				break
			}
			if err != nil || time.Now().After(end) {
				t.Fatalf("write to a closed connection: got %v, want EPIPE or ECONNRESET", err)
			}
		}
	})
}

func TestHalfClose(t *testing.T) {
	onBoth(t, func(t *testing.T, client, server net.Conn) {
		write(t, client, "question")
		client.(interface{ CloseWrite() error }).CloseWrite()
		if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after CloseWrite: got %v, want EPIPE", err)
		}
		wantRead(t, server, "question", nil)
		wantRead(t, server, "", io.EOF)
		write(t, server, "answer")
		if err := client.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Errorf("SetDeadline after CloseWrite: got %v, want none", err)
		}
		wantRead(t, client, "answer", nil)

		client.Close()
		if err := client.(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("CloseWrite after Close: got %v, want net.ErrClosed", err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after that: got %v, want net.ErrClosed", err)
		}
	})
}

// Who closes with bytes unread resets the other end.
func TestCloseUnread(t *testing.T) {
	onBoth(t, func(t *testing.T, client, server net.Conn) {
		write(t, server, "unread")
		awaitByte(t, client)
		client.Close()
		wantRead(t, server, "", syscall.ECONNRESET)
	})
}

func TestLinger(t *testing.T) {
	onBoth(t, func(t *testing.T, client, server net.Conn) {
		client.(interface{ SetLinger(int) error }).SetLinger(0)
		client.Close()
		wantRead(t, server, "", syscall.ECONNRESET)
		if _, err := server.Write([]byte("x")); err == nil {
			t.Error("write to a reset connection: got no error")
		}
	})
}

// A call that waits already is woken by a deadline, by its own Close and by the
// other end's; a deadline in the past ends calls even if bytes are there, and
// may be taken back.
func TestWaitingCalls(t *testing.T) {
	full := make([]byte, 16<<20) // more than any buffer
	read := func(nc net.Conn) error { _, err := nc.Read(make([]byte, 1)); return err }
	fill := func(nc net.Conn) error { _, err := nc.Write(full); return err }
	tests := []struct {
		name string
		call func(net.Conn) error
		wake func(mine, other net.Conn)
		want error // nil: any
	}{
		{"read, deadline", read, func(m, _ net.Conn) { m.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		{"read, deadline to come", read, func(m, _ net.Conn) { m.SetReadDeadline(time.Now().Add(time.Millisecond)) }, os.ErrDeadlineExceeded},
		{"read, both deadlines", read, func(m, _ net.Conn) { m.SetDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		{"read, close", read, func(m, _ net.Conn) { m.Close() }, net.ErrClosed},
		{"read, other closes", read, func(_, o net.Conn) { o.Close() }, io.EOF},
		{"write, deadline", fill, func(m, _ net.Conn) { m.SetWriteDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		{"write, close", fill, func(m, _ net.Conn) { m.Close() }, net.ErrClosed},
		{"write, other closes", fill, func(_, o net.Conn) { o.Close() }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, client, server net.Conn) {
				result := make(chan error, 1)
				go func() { result <- tt.call(client) }() // ends by the wake, or at the deadline
				tt.wake(client, server)
				err := <-result
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				var ne net.Error
				if timeout := errors.As(err, &ne) && ne.Timeout(); timeout != (tt.want == os.ErrDeadlineExceeded) {
					t.Errorf("%v: Timeout() is %v", err, timeout)
				}
			})
		})
	}
}

func TestDeadlineTakenBack(t *testing.T) {
	onBoth(t, func(t *testing.T, client, server net.Conn) {
		write(t, server, "here")
		client.SetReadDeadline(time.Now().Add(-time.Second))
		wantRead(t, client, "", os.ErrDeadlineExceeded)
		client.SetReadDeadline(time.Time{})
		wantRead(t, client, "here", nil)
	})
}

// Nothing is lost or mixed up when more is written than the buffer holds, by
// several goroutines.
func TestLargeWrites(t *testing.T) {
	onBoth(t, func(t *testing.T, client, server net.Conn) {
		const writers, size = 4, 1 << 20
		for i := range writers {
			go client.Write(bytes.Repeat([]byte{byte('a' + i)}, size)) // ends when all is read, or at the deadline
		}
		got := make([]byte, writers*size)
		if _, err := io.ReadFull(server, got); err != nil {
			t.Fatal(err)
		}
		for i := range writers {
			block := got[i*size : (i+1)*size]
			if want := bytes.Repeat(block[:1], size); !bytes.Equal(block, want) {
				t.Errorf("block %d holds bytes of several writers", i)
			}
		}
	})
}

func TestListener(t *testing.T) {
	leaktest.Check(t)
	ctx := context.Background()
	var n Network
	if _, err := n.DialContext(ctx, "tcp", "a:1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial without a listener: got %v, want ECONNREFUSED", err)
	}
	l, err := n.Listen("a:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen("a:1"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: got %v, want EADDRINUSE", err)
	}
	waiting, err := n.DialContext(ctx, "tcp", "a:1")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	wantRead(t, waiting, "", syscall.ECONNRESET) // never accepted
	waiting.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after Close: got %v, want net.ErrClosed", err)
	}
	again, err := n.Listen("a:1")
	if err != nil {
		t.Fatalf("the address is free, but: %v", err)
	}
	accepted := make(chan error, 1)
	go func() { // ends with the listener
		_, err := again.Accept()
		accepted <- err
	}()
	again.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a waiting accept: got %v, want net.ErrClosed", err)
	}
}

func TestBacklog(t *testing.T) {
	var n Network
	l, err := n.Listen("")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range backlog {
		if _, err := n.DialContext(context.Background(), "", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.DialContext(context.Background(), "", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial with a full backlog: got %v, want ECONNREFUSED", err)
	}
}

// In a bubble the clock moves while all wait in Accept, Read and Write.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(Network)
		l, err := n.Listen("")
		if err != nil {
			t.Fatal(err)
		}
		go l.Accept() // takes one connection and ends
		client, err := n.DialContext(context.Background(), "", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		go l.Accept() // ends when l is closed
		begin := time.Now()
		client.SetReadDeadline(begin.Add(time.Hour))
		client.SetWriteDeadline(begin.Add(2 * time.Hour))
		wantRead(t, client, "", os.ErrDeadlineExceeded)
		if got := time.Since(begin); got != time.Hour {
			t.Errorf("read returned after %v, want 1h", got)
		}
		wrote, err := client.Write(make([]byte, streamBuffer+1))
		if wrote != streamBuffer || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: got %d, %v; want %d and a timeout", wrote, err, streamBuffer)
		}
		if got := time.Since(begin); got != 2*time.Hour {
			t.Errorf("write returned after %v, want 2h", got)
		}
		client.Close()
		l.Close()
	})
}
