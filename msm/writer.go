package msm

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// holdSize is how much of a body is held back before the session must be
// stored: as much as net/http itself holds before it sends the header
// (bufferBeforeChunkingSize in its server.go), so that what goes over the
// wire is the same with and without us.
const holdSize = 2048

// holdBuffer is what a responseWriter borrows from its manager's pool.
type holdBuffer [holdSize]byte

// newBufferPool makes the pool that the response writers of a manager share.
func newBufferPool() *sync.Pool {
	return &sync.Pool{New: func() any { return new(holdBuffer) }}
}

// writerState says who decides about the response.
type writerState uint8

const (
	holding  writerState = iota // we do: nothing but 1xx has been sent
	passing                     // the handler: the session is stored, everything goes straight on
	failed                      // nobody: the session could not be stored, the client has its 503
	hijacked                    // the handler owns the connection: never touched again
)

// responseWriter holds a response back until the session is stored, so that a
// client never sees a response whose session does not exist, and a session
// that cannot be stored becomes a clean error. The handler sees what it would
// see without it: the header is settled when the handler writes it, not when
// it leaves, and all optional interfaces of net/http's own writer are there
// but Push and CloseNotify. Like any http.ResponseWriter it is used by one
// goroutine at a time.
type responseWriter struct {
	next    http.ResponseWriter
	commit  func() error
	buffers *sync.Pool
	initial http.Header // as it was before the handler ran

	state writerState
	err   error // failed: of commit

	// The held response.
	status   int         // 0: not written yet
	settled  http.Header // as it was when status was written
	declared int64       // Content-Length, -1 if there is none
	body     *holdBuffer // nil until needed
	n        int         // bytes in body
}

var _ interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
	io.StringWriter
	FlushError() error
	Unwrap() http.ResponseWriter
} = (*responseWriter)(nil)

// newResponseWriter wraps w. Before the first byte of the response leaves,
// commit is called, once: it stores the session and sets its headers on
// w.Header(). If it fails the client gets a 503 and nothing of what the
// handler wrote. buffers comes from newBufferPool.
func newResponseWriter(w http.ResponseWriter, commit func() error, buffers *sync.Pool) *responseWriter {
	return &responseWriter{next: w, commit: commit, buffers: buffers, initial: cloneHeader(w.Header())}
}

// finish is called when the handler has returned, not when it panicked: what
// it then held is dropped with the writer. It commits and sends what is held.
// Its error is the commit's, whenever that was; the client has its 503.
func (w *responseWriter) finish() error {
	if w.state == holding {
		w.release()
	}
	return w.err
}

// committed tells whether commit has returned: the response's headers cannot
// be changed any more.
func (w *responseWriter) committed() bool { return w.state != holding }

// Unwrap lets http.ResponseController reach what we have nothing to add to:
// deadlines and EnableFullDuplex.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.next }

// Header is the header of the response.
func (w *responseWriter) Header() http.Header { return w.next.Header() }

// WriteHeader settles the status and the header. 1xx leaves at once and
// settles nothing.
func (w *responseWriter) WriteHeader(code int) {
	switch {
	case w.state == passing:
		w.next.WriteHeader(code)
	case w.state != holding || w.status != 0:
		// Too late, as it is without us.
	case code < 200 && code != http.StatusSwitchingProtocols || code > 999:
		w.next.WriteHeader(code) // informational, or no status at all: net/http panics here
	default:
		w.settle(code)
	}
}

// settle records what will be sent. net/http copies the header at this moment
// too; what the handler does to it later can only be a trailer.
func (w *responseWriter) settle(code int) {
	w.status, w.declared = code, -1
	w.settled = cloneHeader(w.next.Header())
	if text := w.settled.Get("Content-Length"); text != "" {
		if length, err := strconv.ParseInt(text, 10, 64); err == nil && length >= 0 {
			w.declared = length
		}
	}
}

// Write holds p back while it fits.
func (w *responseWriter) Write(p []byte) (int, error) {
	room, err := w.room(len(p))
	if room == nil && err == nil {
		return w.next.Write(p)
	}
	return copy(room, p), err
}

// WriteString is Write.
func (w *responseWriter) WriteString(s string) (int, error) {
	room, err := w.room(len(s))
	if room == nil && err == nil {
		return io.WriteString(w.next, s)
	}
	return copy(room, s), err
}

// room returns where to hold the next n bytes of the body. Neither room nor an
// error means that the response has left, and they are to follow it.
func (w *responseWriter) room(n int) ([]byte, error) {
	switch w.state {
	case passing:
		return nil, nil
	case failed:
		return nil, w.err
	case hijacked:
		return nil, http.ErrHijacked
	}
	if w.status == 0 {
		w.settle(http.StatusOK)
	}
	switch total := w.n + n; {
	case n == 0:
		return []byte{}, nil
	case !bodyAllowed(w.status):
		return nil, http.ErrBodyNotAllowed
	case total > holdSize, w.declared >= 0 && int64(total) > w.declared:
		// Too much to hold, or more than was declared: what happens to
		// the latter is for net/http to say.
		return nil, w.release()
	}
	if w.body == nil {
		w.body = w.buffers.Get().(*holdBuffer)
	}
	room := w.body[w.n : w.n+n]
	w.n += n
	return room, nil
}

// bodyAllowed is net/http's bodyAllowedForStatus: RFC 9110, 6.4.1.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// ReadFrom passes src on to the connection, which uses sendfile where it can.
func (w *responseWriter) ReadFrom(src io.Reader) (int64, error) {
	if err := w.letGo(); err != nil {
		return 0, err
	}
	return io.Copy(w.next, src)
}

// Flush is FlushError.
func (w *responseWriter) Flush() { w.FlushError() }

// FlushError sends what has been written so far. The session is stored first.
func (w *responseWriter) FlushError() error {
	if w.state == holding && w.status == 0 {
		w.settle(http.StatusOK)
	}
	if err := w.letGo(); err != nil {
		return err
	}
	return http.NewResponseController(w.next).Flush()
}

// Hijack hands the connection over. The session is stored first; its cookie
// reaches the client if the handler has called WriteHeader before.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.letGo(); err != nil {
		return nil, nil, err
	}
	conn, rw, err := http.NewResponseController(w.next).Hijack()
	if err == nil {
		w.state = hijacked
	}
	return conn, rw, err
}

// letGo makes sure that the response is no longer held.
func (w *responseWriter) letGo() error {
	switch w.state {
	case holding:
		return w.release()
	case failed:
		return w.err
	case hijacked:
		return http.ErrHijacked
	}
	return nil
}

// release stores the session and sends what is held. A response of which
// nothing has been written yet is left as it is: the handler may go on, or
// leave it to net/http.
func (w *responseWriter) release() error {
	h := w.next.Header()
	var late http.Header
	if w.status != 0 {
		late = takeBack(h, w.settled)
	}
	if err := w.commit(); err != nil {
		w.fail(err)
		return err
	}
	w.state = passing
	if w.status != 0 {
		w.next.WriteHeader(w.status)
		giveBack(h, late, w.settled)
	}
	return w.sendBody()
}

func (w *responseWriter) sendBody() error {
	if w.body == nil {
		return nil
	}
	_, err := w.next.Write(w.body[:w.n])
	w.dropBody()
	return err
}

func (w *responseWriter) dropBody() {
	if w.body != nil {
		w.buffers.Put(w.body)
		w.body = nil
	}
}

// fail answers with an error of ours and nothing of the handler's: neither
// its body nor its headers, of which Content-Length or a cookie would lie.
func (w *responseWriter) fail(err error) {
	w.state, w.err = failed, err
	w.dropBody()
	h := w.next.Header()
	clear(h)
	maps.Copy(h, w.initial)
	h.Set("Retry-After", "1")
	h.Set("Cache-Control", "no-store")
	http.Error(w.next, "The session could not be stored. Please try again.", http.StatusServiceUnavailable)
}

// cloneHeader copies the map and shares the values: handlers replace or append
// to them. An empty header is nil.
func cloneHeader(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	return maps.Clone(h)
}

// takeBack makes h what it was when it was settled, and returns what had been
// changed since then; a nil value stands for a removed key.
func takeBack(h, settled http.Header) (late http.Header) {
	note := func(key string, values []string) {
		if late == nil {
			late = make(http.Header)
		}
		late[key] = values
	}
	for key, values := range h {
		before, ok := settled[key]
		switch {
		case !ok:
			note(key, values)
			delete(h, key)
		case !sameValues(values, before):
			note(key, values)
			h[key] = before
		}
	}
	for key, before := range settled {
		if _, ok := h[key]; !ok {
			note(key, nil)
			h[key] = before
		}
	}
	return late
}

// giveBack repeats what takeBack has taken back, now that the header has left:
// the rest are trailers. What commit has set stays, for a writer further out
// that has not sent the header yet.
func giveBack(h, late, settled http.Header) {
	for key, values := range late {
		switch {
		case !sameValues(h[key], settled[key]):
		case values == nil:
			delete(h, key)
		default:
			h[key] = values
		}
	}
}

// sameValues tells whether a and b are the same slice, not merely equal ones.
func sameValues(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
