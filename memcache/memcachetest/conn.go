package memcachetest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	readBuffer = 16 << 10 // memcached's own
	writeLimit = 64 << 10 // unsent replies that are kept while more input is at hand
	maxLine    = 2048     // protocol.txt: a longer line that is no get closes the connection
	maxGetLine = 8 << 20  // a get may be longer; memcached's bound is its memory
)

// conn is one connection. All but hangUp belongs to its goroutine.
type conn struct {
	srv   *Server
	raw   net.Conn      // what was accepted
	nc    net.Conn      // raw, or TLS on it
	in    *bufio.Reader // reads through conn.Read
	out   []byte        // replies that are not sent yet
	err   error         // of the first write that failed
	buf   []byte        // of long lines
	words [][]byte      // of the line at hand

	authenticated bool
	fault         Fault     // in force for the command at hand
	start         int       // of its reply in out
	due           time.Time // when out may leave; zero: at once

	hangUpOnce sync.Once
	gone       chan struct{} // closed by hangUp
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, raw: nc, nc: nc, gone: make(chan struct{}), authenticated: s.cfg.Username == ""}
	if s.cfg.TLS != nil {
		c.nc = tls.Server(nc, s.cfg.TLS)
	}
	c.in = bufio.NewReaderSize((*input)(c), readBuffer)
	return c
}

// hangUp closes the connection as the kernel does for a process that dies: it
// never blocks. The goroutine ends soon after.
func (c *conn) hangUp() {
	c.hangUpOnce.Do(func() {
		close(c.gone)
		c.raw.Close()
	})
}

// serve answers commands until the connection ends.
func (c *conn) serve() {
	err := c.converse()
	if errors.Is(err, errClose) {
		err = c.flush() // the reply that says why
	}
	if l, ok := c.raw.(interface{ SetLinger(sec int) error }); ok && errors.Is(err, errReset) {
		l.SetLinger(0) // RST instead of FIN; fails only if the connection is gone
	}
	c.hangUp()
}

// converse is serve without the end. As in memcached, the first byte decides on
// the protocol.
func (c *conn) converse() error {
	first, err := c.in.Peek(1)
	if err != nil {
		return err
	}
	command := c.textCommand
	if first[0] == binaryRequest {
		command = c.binaryCommand
	}
	for {
		if err := command(); err != nil {
			return err
		}
		if err := c.spoil(); err != nil {
			return err
		}
		if len(c.out) >= writeLimit {
			c.flush()
		}
		if c.err != nil {
			return c.err
		}
	}
}

// input is what the connection's bufio.Reader reads from: before it waits for
// input, the replies leave. While input is at hand they gather, and one system
// call carries many, as in memcached.
type input conn

func (in *input) Read(p []byte) (int, error) {
	c := (*conn)(in)
	if err := c.flush(); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	c.srv.traffic.received.Add(int64(n))
	return n, err
}

// flush sends the replies. A server that hangs sends none.
func (c *conn) flush() error {
	if len(c.out) == 0 || c.err != nil {
		return c.err
	}
	if c.err = c.awaitDue(); c.err != nil {
		return c.err
	}
	if _, c.err = c.awaitHealth(); c.err != nil {
		return c.err
	}
	// Counted first: who has the reply finds it counted.
	c.srv.traffic.sent.Add(int64(len(c.out)))
	var n int
	n, c.err = c.nc.Write(c.out)
	c.srv.traffic.sent.Add(int64(n - len(c.out)))
	c.out = c.out[:0]
	if cap(c.out) > 4*writeLimit {
		c.out = nil
	}
	return c.err
}

// relieve sends what has gathered in the middle of a long reply, unless a fault
// waits for the whole. Without a reader there is no point in going on.
func (c *conn) relieve() (ok bool) {
	if len(c.out) >= writeLimit && !c.fault.touchesReplies() {
		c.flush()
	}
	return c.err == nil
}

// readLine returns the next line without its end; it is valid until the next
// read.
func (c *conn) readLine() ([]byte, error) {
	if cap(c.buf) > writeLimit {
		c.buf, c.words = nil, nil // of a get that was exceptionally long
	}
	c.buf = c.buf[:0]
	for seen := 0; ; {
		b, _ := c.in.Peek(c.in.Buffered())
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			line := b[:seen+i]
			if len(c.buf) > 0 {
				c.buf = append(c.buf, line...)
				line = c.buf
			}
			c.in.Discard(seen + i + 1) // cannot fail: it is buffered
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if n := len(c.buf) + len(b); n > maxLine && (len(c.buf) == 0 && !isGet(b) || n > maxGetLine) {
			return nil, errClose
		}
		seen = len(b)
		if len(b) == readBuffer {
			c.buf = append(c.buf, b...)
			c.in.Discard(len(b))
			seen = 0
		}
		if _, err := c.in.Peek(seen + 1); err != nil {
			return nil, err
		}
	}
}

// isGet tells whether the line that begins with b may be longer than others.
func isGet(b []byte) bool {
	return bytes.HasPrefix(b, []byte("get ")) || bytes.HasPrefix(b, []byte("gets "))
}

// readValue reads n bytes of value and the line end behind it. ok is false if
// the line end is not there: then what stands there instead is gone as well.
// The caller has checked n.
func (c *conn) readValue(n int) (value []byte, ok bool, err error) {
	value = make([]byte, n+2)
	if _, err := io.ReadFull(c.in, value); err != nil {
		return nil, false, err
	}
	return value[:n:n], string(value[n:]) == "\r\n", nil
}

// skip reads n bytes and forgets them.
func (c *conn) skip(n int64) error {
	_, err := io.CopyN(io.Discard, c.in, n)
	return err
}
