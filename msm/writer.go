package msm

import (
	"net/http"
	"sync"
)

// responseWriter holds a response back until the session is stored: see
// newResponseWriter.
type responseWriter struct {
	http.ResponseWriter
}

// newResponseWriter wraps w. commit is called once, before the first byte of
// the response leaves; it stores the session and sets its headers on
// w.Header(). buffers is the pool made by newBufferPool.
func newResponseWriter(w http.ResponseWriter, commit func() error, buffers *sync.Pool) *responseWriter {
	return &responseWriter{w}
}

// newBufferPool makes the pool of buffers that response writers share.
func newBufferPool() *sync.Pool { return &sync.Pool{} }

// finish is called when the handler has returned (not when it panicked): it
// commits and sends what is held. Its error is the commit's; the client has
// its 503 by then.
func (w *responseWriter) finish() error { return nil }

// committed tells whether commit has been called and returned: the headers of
// the response cannot be changed any more.
func (w *responseWriter) committed() bool { return false }
