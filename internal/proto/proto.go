// Package proto turns requests into bytes and bytes into replies: the classic
// and meta commands of memcached's ASCII protocol, and its binary protocol.
//
// It knows no network, no time and no locks. A [Codec] is a stateless value;
// what a half-read reply needs to be continued is kept in its [Reply].
//
// Two kinds of bad news are told apart here and nowhere else: an error from
// Parse means that the stream is lost and the connection must die; a [Status]
// means that the server refused this one request and the connection is fine.
package proto

import "errors"

// ErrProtocol says that the bytes read are not an answer to the request: a
// reply to another request, a malformed line, a length over the limit. The
// connection that delivered them cannot be used any more.
var ErrProtocol = errors.New("memcache: protocol violation")

// Errors of Check: nothing was sent. A field out of its range is another error,
// which says what the range is.
var (
	ErrKey         = errors.New("memcache: key must be 1 to 250 bytes without blanks and control characters")
	ErrUnsupported = errors.New("memcache: operation not supported by this protocol")
)

// Op is an operation, named as in memcached's protocol.txt.
type Op uint8

// The operations. Set with a CAS is compare and swap; Delete with a CAS
// deletes only that version.
const (
	OpGet Op = iota + 1
	OpGetAndTouch
	OpGetMulti
	OpSet
	OpAdd
	OpReplace
	OpAppend
	OpPrepend
	OpDelete
	OpTouch
	OpIncrement
	OpDecrement
	OpVersion
	OpStats
	OpFlushAll
	OpAuth
)

// String returns the name of the classic command, or a word like it.
func (op Op) String() string {
	switch op {
	case OpGet:
		return "get"
	case OpGetAndTouch:
		return "gat"
	case OpGetMulti:
		return "multi-get"
	case OpSet:
		return "set"
	case OpAdd:
		return "add"
	case OpReplace:
		return "replace"
	case OpAppend:
		return "append"
	case OpPrepend:
		return "prepend"
	case OpDelete:
		return "delete"
	case OpTouch:
		return "touch"
	case OpIncrement:
		return "incr"
	case OpDecrement:
		return "decr"
	case OpVersion:
		return "version"
	case OpStats:
		return "stats"
	case OpFlushAll:
		return "flush_all"
	case OpAuth:
		return "auth"
	}
	return "unknown operation"
}

// Request is one command. Fields that an operation has no use for are ignored.
type Request struct {
	Op      Op
	NoValue bool     // OpGet, OpGetAndTouch: the value is not wanted; a protocol that cannot leave it out sends it all the same
	Create  bool     // OpIncrement, OpDecrement: an absent key is created with Initial and Exptime
	Key     string   // OpStats: the section, may be empty. OpAuth: the user name
	Keys    []string // OpGetMulti
	Value   []byte   // the stores; OpAuth: the password
	Flags   uint32
	Exptime int64  // as it goes over the wire: protocol.txt, "Expiration times"
	CAS     uint64 // 0: unconditional
	Delta   uint64 // OpIncrement, OpDecrement
	Initial uint64
	Opaque  uint32 // chosen by the connection, unique among its requests in flight; never 0
}

// Status is the outcome of a request whose reply was read whole.
type Status uint8

// The outcomes.
const (
	StatusOK          Status = iota
	StatusMiss               // no such key
	StatusNotStored          // the condition of Add, Replace, Append or Prepend was not met, or a proxy dropped a store
	StatusExists             // the CAS is not the item's any more
	StatusNotNumber          // Increment or Decrement of something else
	StatusTooLarge           // the item is over the server's limit
	StatusAuth               // the server wants authentication, or refused it
	StatusServerError        // any other refusal; Line is what the server said
)

// TTL values that are not a number of seconds.
const (
	TTLNone    = -1 // the item never expires
	TTLUnknown = -2 // the protocol does not tell
)

// Reply is the answer to one Request. The zero Reply is ready for Parse, once.
type Reply struct {
	Status Status
	Size   int // after StepValue: the length of the value that follows
	Index  int // after StepValue of OpGetMulti: the value is that of Keys[Index]
	Flags  uint32
	CAS    uint64
	TTL    int64  // seconds left (before the touch, for OpGetAndTouch), TTLNone or TTLUnknown
	Number uint64 // OpIncrement, OpDecrement
	Line   string // StatusServerError, StatusAuth: the server's words, with <key> for keys that it quotes; OpVersion: the version
	Stats  []Stat // OpStats

	state state
	next  int // OpGetMulti: the first key that no reply has passed yet. OpStats: the bytes so far
}

// multiEnd is the step after an answer in a reply that is complete with the
// answer to the last key: that of Meta and Binary, or of one key.
func (rep *Reply) multiEnd(req *Request) Step {
	if req.Op == OpGetMulti && rep.next < len(req.Keys) {
		return StepMore
	}
	return StepDone
}

// Stat is one line of the answer to OpStats.
type Stat struct{ Name, Value string }

// state says where Parse goes on.
type state uint8

// The states. Those of a codec that has no use for one never reach it.
const (
	stateHead    state = iota // the first line or header of the reply, or of the next part of it
	stateTail                 // what stands behind a value
	stateNumber               // meta: the digits of a counter, Size of them
	stateNext                 // classic: a value was read, another one or END follows
	stateRefused              // text: an error line of the list was read, which may be its end
	stateEnd                  // text: END of the list was read, MN follows
)

// Step is what the caller of Parse must do next.
type Step uint8

// The steps.
const (
	StepMore  Step = iota // read more bytes, then call Parse with what is left and what came
	StepValue             // take Size bytes of value, then call Parse with what follows them
	StepDone              // the reply is complete
)

// MaxHead bounds the bytes that Parse may need at once: with MaxHead bytes in
// buf it never answers StepMore without consuming any. Memcached closes a
// connection whose line is longer than 2,048 bytes (protocol.txt, "Protocol").
const MaxHead = 2048

// Codec is one protocol. Its implementations are Classic, Meta, Text and Binary.
type Codec interface {
	// Check refuses what must not reach a server: bad keys (ErrKey), operations
	// and fields that the protocol lacks (ErrUnsupported). It is called before
	// AppendRequest, which relies on it.
	Check(req *Request) error

	// AppendRequest appends req up to its value to dst. Of a request with a
	// value, the value and Tail follow.
	AppendRequest(dst []byte, req *Request) []byte

	// Tail is what stands behind a value, in requests and in replies:
	// "\r\n" in ASCII, nothing in binary.
	Tail() string

	// Parse consumes the next piece of req's reply from the front of buf and
	// says how many bytes that were. The value itself never goes through Parse;
	// its tail does: after a value Parse is called before anything is read, for
	// the reply may be complete. An error is always ErrProtocol, wrapped with
	// the reason.
	Parse(buf []byte, req *Request, rep *Reply) (n int, step Step, err error)
}

// HasValue tells whether a value follows the bytes of AppendRequest.
func (r *Request) HasValue() bool {
	return r.Op >= OpSet && r.Op <= OpPrepend
}
