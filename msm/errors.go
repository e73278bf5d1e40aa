package msm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of sessions. Compare with errors.Is; none of them, and nothing that
// wraps them, holds an id, a cookie, a storage key or a value.
var (
	// ErrUnavailable says that the nodes that could tell did not answer: the
	// session may well exist. Nothing was stored, or it is not known to be. A
	// response whose session cannot be stored becomes 503 Service Unavailable.
	ErrUnavailable = errors.New("msm: session storage is unavailable")

	// ErrBusy is an ErrUnavailable: too many requests of this process wait for the
	// session's lock already, see Config.LockingMode. Whatever the handler
	// writes, the response is 503 Service Unavailable.
	ErrBusy = fmt.Errorf("%w: too many requests wait for this session already", ErrUnavailable)

	// ErrConflict says that other requests changed the session again and again
	// while this one tried to store its changes.
	ErrConflict = errors.New("msm: too many requests change this session at the same time")

	// ErrTooLarge says that the session would be larger than what memcached
	// takes, or has too many attributes, or one with too long a name. What was
	// stored before stays.
	ErrTooLarge = errors.New("msm: session is too large")

	// ErrCommitted says that the response's headers have left: its cookie cannot
	// be set or deleted any more. Use the session before the first byte of a
	// long response, or before its first Flush.
	ErrCommitted = errors.New("msm: response headers were sent already")

	// ErrInvalidated says that the session ended, by Invalidate or Renew in
	// another request, while this one was using it. Its changes are lost.
	ErrInvalidated = errors.New("msm: session has been invalidated")

	// ErrDecode says that an attribute cannot be read: it was stored by another
	// transcoder, or as another type, or is damaged. The bytes stay as they are
	// until the attribute is set or deleted.
	ErrDecode = errors.New("msm: cannot decode what is stored")
)

// errNoSession is what From gives outside Manager.Handler, and any Session
// after its request.
var errNoSession = errors.New("msm: no session here: use the context of a request that goes through Manager.Handler, and only until its handler returns")

// unavailable says why the nodes cannot help.
func unavailable(why error) error { return fmt.Errorf("%w: %w", ErrUnavailable, why) }

// isClients tells whether a client brings the error about as often as it likes: by
// many requests at a time, or by a logout beside them.
func isClients(err error) bool { return errors.Is(err, ErrBusy) || errors.Is(err, ErrInvalidated) }

// namedAttrs is how many attributes ErrTooLarge names.
const namedAttrs = 3

// tooLarge names the largest attributes of a session that memcached does not
// take.
func tooLarge(rec *record) error {
	attrs := slices.Clone(rec.attrs)
	slices.SortFunc(attrs, func(a, b attr) int { return cmp.Compare(len(b.data), len(a.data)) })
	var list []string
	for _, a := range attrs[:min(len(attrs), namedAttrs)] {
		list = append(list, fmt.Sprintf("%q (%d bytes)", a.name, len(a.data)))
	}
	return fmt.Errorf("%w for one memcached item; its largest attributes are %s", ErrTooLarge, strings.Join(list, ", "))
}
