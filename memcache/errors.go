package memcache

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// Outcomes of single operations. They are returned bare.
var (
	// ErrMiss says that there is no item of that key, or not any more.
	ErrMiss = errors.New("memcache: no such item")

	// ErrNotStored says that the condition of Add (absent), Replace, Append or
	// Prepend (present) was not met.
	ErrNotStored = errors.New("memcache: not stored")

	// ErrCASConflict says that the item has changed since its CAS was read, or
	// that this cannot be ruled out: see "Compare and swap" above.
	ErrCASConflict = errors.New("memcache: item has changed since it was read")

	// ErrNotNumber is the answer to Increment and Decrement of an item that is
	// no decimal number below 2^64.
	ErrNotNumber = errors.New("memcache: item is not a number")
)

// Errors before a byte is sent. They are returned bare, but for ErrNodeDown and
// an ErrTooLarge or ErrAuth that a server said, which stand in an *OpError.
var (
	// ErrKey says that a key is not 1 to 250 bytes without blanks and control
	// characters.
	ErrKey = proto.ErrKey

	// ErrTooLarge says that key and value together are over Config.MaxItemSize,
	// or over the server's own limit. A server drops the old item of a key when
	// it refuses a new one for its size.
	ErrTooLarge = errors.New("memcache: item is too large")

	// ErrNodeDown says that the node refuses connections, or did so when it was
	// last tried.
	ErrNodeDown = node.ErrDown

	// ErrNoNodes says that there is no node for the key: no node at all, or none
	// of the id given to On.
	ErrNoNodes = errors.New("memcache: no such node")

	// ErrClosed is what every operation returns after Close.
	ErrClosed = node.ErrClosed

	// ErrAuth says that a server wants credentials or refused those of Config.
	ErrAuth = node.ErrAuth

	// ErrUnsupported says that the protocol lacks the operation.
	ErrUnsupported = proto.ErrUnsupported
)

// ErrProtocol says that a server sent what cannot be the answer to what it was
// asked: a reply to something else, a malformed line, a length over the limit.
// The connection is closed.
var ErrProtocol = proto.ErrProtocol

var errNilItem = errors.New("memcache: item is nil")

// OpError is the failure of an operation at a node. The key is not part of it:
// keys often are somebody's data, and errors end up in logs.
type OpError struct {
	Op   string // the method's name, as "Get"
	Node string // the node's id
	Err  error
}

// Error implements error.
func (e *OpError) Error() string {
	return "memcache: " + e.Op + " at node " + e.Node + ": " + strings.TrimPrefix(e.Err.Error(), "memcache: ")
}

// Unwrap returns Err.
func (e *OpError) Unwrap() error { return e.Err }

// ServerError is a refusal in the server's own words, up to 256 bytes of them. A
// key of the request that a server quotes is replaced by "<key>".
type ServerError struct {
	Line string // as "SERVER_ERROR out of memory storing object"
}

// Error implements error.
func (e *ServerError) Error() string { return fmt.Sprintf("memcache: the server says %q", e.Line) }

// MultiError says what failed of an operation over many keys, or many nodes.
// What it does not name has succeeded.
type MultiError struct {
	// Errs holds an error for every key that failed; for every node id, with
	// Ping, Version, ServerStats and FlushAll.
	Errs map[string]error
}

// shown is how many messages the text of a MultiError holds.
const shown = 3

// Error implements error. It names no keys.
func (e *MultiError) Error() string {
	texts := make(map[string]bool)
	for _, err := range e.Errs {
		texts[strings.TrimPrefix(err.Error(), "memcache: ")] = true
	}
	list := slices.Sorted(maps.Keys(texts))
	more := ""
	if len(list) > shown {
		more = fmt.Sprintf("; and %d other errors", len(list)-shown)
		list = list[:shown]
	}
	return fmt.Sprintf("memcache: %d failed: %s%s", len(e.Errs), strings.Join(list, "; "), more)
}

// Unwrap returns the errors in Errs, in no particular order.
func (e *MultiError) Unwrap() []error { return slices.Collect(maps.Values(e.Errs)) }
