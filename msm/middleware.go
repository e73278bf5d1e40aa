package msm

import (
	"context"
	"errors"
	"net/http"
)

// contextKey is where requests carry their Session.
type contextKey struct{}

// From returns the session of the request that ctx belongs to. It does no I/O.
// With nested managers it is that of the innermost. In a context that did not
// come through Manager.Handler every method of the session returns an error.
func From(ctx context.Context) *Session {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s
	}
	return refuse(errNoSession)
}

// Errors of all methods of a session.
var (
	errIgnored = errors.New("msm: this request matches RequestURIIgnorePattern: it has no session")
	errOver    = errors.New("msm: the manager was shut down")
)

// Handler returns next with sessions: From gives the session of a request. The
// header and up to 2 KiB of a response wait for the session to be stored. If
// that fails, the client gets 503 and nothing of next's response. If next
// panics, its changes are dropped.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := m.enter()
		if c == nil {
			next.ServeHTTP(w, withSession(r, refuse(errOver)))
			return
		}
		defer c.leave()
		if c.ignore.matchRequest(r) {
			next.ServeHTTP(w, withSession(r, refuse(errIgnored)))
			return
		}
		c.serve(w, r, next)
	})
}

func withSession(r *http.Request, s *Session) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), contextKey{}, s))
}

// serve is the way of a request that may have a session.
func (c *core) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	s := c.newSession(r)
	defer s.tally()
	defer s.close() // also when next panics
	rw := newResponseWriter(w, func() error { return s.commitHeaders(w, r) }, c.buffers)
	next.ServeHTTP(rw, withSession(r, s))
	err := rw.finish()
	switch {
	case err == nil:
		s.storeLate()
	case isClients(err): // not a word in the log
	default:
		c.log.Error("msm: session could not be stored, the response is 503", "err", err)
	}
}
