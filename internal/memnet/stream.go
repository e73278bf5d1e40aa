package memnet

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// streamBuffer bounds the bytes on their way in one direction: what the socket
// buffers of a loopback connection hold, by order of magnitude.
const streamBuffer = 256 << 10

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex // guards what follows
	changed sync.Cond  // anything that a reader or writer may wait for
	buf     bytes.Buffer
	reader  side
	writer  side
	writing bool  // a write is under way: others wait, their bytes do not mix
	broken  error // reset; bytes that came before can still be read
}

// side is one of the two ends of a stream.
type side struct {
	closed  error       // what its own calls get once it is closed
	seen    error       // what the writer gets once the reader is closed
	expired bool        // its deadline has passed
	timer   *time.Timer // of a deadline to come
}

func newStream() *stream {
	s := new(stream)
	s.changed.L = &s.mu
	return s
}

// err returns why a call of the side must not go on.
func (e *side) err() error {
	switch {
	case e.closed != nil:
		return e.closed
	case e.expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.reader.err(); err != nil {
			return 0, err
		}
		switch {
		case len(p) == 0:
			return 0, nil
		case s.buf.Len() > 0:
			n, _ := s.buf.Read(p) // cannot fail: it is not empty
			s.changed.Broadcast()
			return n, nil
		case s.broken != nil:
			return 0, s.broken
		case s.writer.closed != nil:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing && s.writeErr() == nil {
		s.changed.Wait()
	}
	if s.writing {
		return 0, s.writeErr()
	}
	s.writing = true
	defer func() {
		s.writing = false
		s.changed.Broadcast()
	}()
	for {
		if err := s.writeErr(); err != nil {
			return n, err
		}
		if free := streamBuffer - s.buf.Len(); free > 0 {
			m := min(free, len(p)-n)
			s.buf.Write(p[n : n+m])
			n += m
			s.changed.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		s.changed.Wait()
	}
}

// writeErr returns why nothing can be written.
func (s *stream) writeErr() error {
	switch err := s.writer.err(); {
	case err != nil:
		return err
	case s.broken != nil:
		return s.broken
	case s.reader.closed != nil:
		return s.reader.seen
	}
	return nil
}

// closeRead closes the reader's side; the writer gets seen from now on. It tells
// whether bytes were left, and whether it was open.
func (s *stream) closeRead(seen error) (unread, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader.closed != nil {
		return false, false
	}
	unread = s.buf.Len() > 0
	s.buf = bytes.Buffer{}
	s.reader.seen = seen
	s.reader.close(net.ErrClosed)
	s.changed.Broadcast()
	return unread, true
}

// closeWrite closes the writer's side, whose calls get err from now on:
// net.ErrClosed is for ever. It tells whether it was not closed so before.
func (s *stream) closeWrite(err error) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer.closed == net.ErrClosed {
		return false
	}
	s.writer.close(err)
	s.changed.Broadcast()
	return true
}

func (e *side) close(err error) {
	e.closed = err
	if e.timer != nil {
		e.timer.Stop()
	}
}

// reset breaks the stream for both sides.
func (s *stream) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = syscall.ECONNRESET
	s.changed.Broadcast()
}

func (s *stream) setDeadline(e *side, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.closed == net.ErrClosed { // after CloseWrite alone, a deadline may be set
		return e.closed
	}
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	d := time.Until(t)
	e.expired = !t.IsZero() && d <= 0
	if !t.IsZero() && d > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(d, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if e.timer == timer { // no other deadline since
				e.expired = true
				s.changed.Broadcast()
			}
		})
		e.timer = timer
	}
	s.changed.Broadcast()
	return nil
}
