package msm

import (
	"log/slog"
	"net/http"
	"time"
)

// maxCandidates bounds how many cookies with our name are looked at: a
// sibling domain can add as many as it likes.
const maxCandidates = 4

// Cookie says how the session cookie is named and sent. The zero value is
// "__Host-sid" with Secure, HttpOnly, SameSite=Lax and Path=/, without Domain,
// ending with the browser's session.
type Cookie struct {
	Name, Path, Domain string
	SameSite           http.SameSite
	MaxAge             time.Duration
	Insecure           bool
}

// cookieWriter reads and writes one manager's cookie. It is immutable and safe
// for concurrent use.
type cookieWriter struct {
	name string
}

// newCookieWriter checks c and fills its defaults. The error joins every
// problem found (errors.Join), each naming the field and the fix.
func newCookieWriter(c Cookie) (*cookieWriter, error) {
	return &cookieWriter{name: c.Name}, nil
}

// candidates appends to dst the well-formed ids among the first four cookies
// of the request that have our name. dst with room for four costs no
// allocation.
func (cw *cookieWriter) candidates(r *http.Request, dst []sessionID) []sessionID { return dst }

// set makes h carry exactly one cookie of ours, with that value, and forbids
// caching.
func (cw *cookieWriter) set(h http.Header, value string) {}

// remove makes h carry exactly one cookie of ours, one that deletes it in the
// browser, and forbids caching.
func (cw *cookieWriter) remove(h http.Header) {}

// warnPlain logs, once in cw's life, that a Secure cookie answers a request
// that did not come over TLS. A nil logger is silent.
func (cw *cookieWriter) warnPlain(log *slog.Logger, r *http.Request) {}

// varyCookie adds Cookie to the Vary header: for responses whose handler has
// used the session.
func varyCookie(h http.Header) {}
