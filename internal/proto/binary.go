package proto

import "encoding/binary"

// Binary is memcached's binary protocol, deprecated by its authors since 1.6.0
// and still served. The zero value is ready for use.
//
// Every reply carries the opcode and the opaque of its request and is verified
// by both; those of a multi-get, whose opaque is the same, by their keys as well.
// It does not tell TTLs.
type Binary struct {
	MaxValue int // the largest value accepted in a reply, in bytes; 0 means DefaultMaxValue
}

// The magic bytes and the length of a packet's header (memcached's
// protocol-binary.txt, "Packet structure").
const (
	magicRequest = 0x80
	magicReply   = 0x81
	headerSize   = 24
)

// The opcodes (there, "Command opcodes").
const (
	opcodeGet       = 0x00
	opcodeSet       = 0x01
	opcodeAdd       = 0x02
	opcodeReplace   = 0x03
	opcodeDelete    = 0x04
	opcodeIncrement = 0x05
	opcodeDecrement = 0x06
	opcodeFlush     = 0x08
	opcodeVersion   = 0x0b
	opcodeGetK      = 0x0c
	opcodeAppend    = 0x0e
	opcodePrepend   = 0x0f
	opcodeStat      = 0x10
	opcodeTouch     = 0x1c
	opcodeGAT       = 0x1d
	opcodeAuth      = 0x21
)

// Expiration times with a meaning of their own.
const (
	exptimeNoCreate = 0xffffffff      // incr, decr: an absent key is not created
	exptimePast     = 60*60*24*30 + 1 // the first number that is a date: in January 1970
)

// saslPlain is the mechanism of OpAuth (RFC 4616).
const saslPlain = "PLAIN"

// opcode is the command that req is sent as, a multi-get once for each key.
//
// A touch returns flags and CAS but no value, which is what a get that wants
// none asks for.
func opcode(req *Request) byte {
	if req.Op == OpGetAndTouch && req.NoValue {
		return opcodeTouch
	}
	codes := [...]byte{
		OpGet: opcodeGet, OpGetAndTouch: opcodeGAT, OpGetMulti: opcodeGetK,
		OpSet: opcodeSet, OpAdd: opcodeAdd, OpReplace: opcodeReplace, OpAppend: opcodeAppend, OpPrepend: opcodePrepend,
		OpDelete: opcodeDelete, OpTouch: opcodeTouch, OpIncrement: opcodeIncrement, OpDecrement: opcodeDecrement,
		OpVersion: opcodeVersion, OpStats: opcodeStat, OpFlushAll: opcodeFlush, OpAuth: opcodeAuth,
	}
	return codes[req.Op]
}

// Check implements Codec.
func (b Binary) Check(req *Request) error { return check(req) }

// Tail implements Codec.
func (b Binary) Tail() string { return "" }

// AppendRequest implements Codec.
func (b Binary) AppendRequest(dst []byte, req *Request) []byte {
	switch req.Op {
	case OpGetMulti:
		return appendBinaryMulti(dst, req)
	case OpVersion, OpFlushAll:
		return appendHeader(dst, opcode(req), req)
	case OpAuth:
		return appendBinaryAuth(dst, req)
	}
	start := len(dst)
	dst = appendHeader(dst, opcode(req), req)
	dst = appendExtras(dst, req)
	extras := len(dst) - start - headerSize
	dst = append(dst, req.Key...)
	value := 0
	if req.HasValue() {
		value = len(req.Value)
	}
	fillLengths(dst[start:], extras, len(req.Key), value)
	return dst
}

// appendBinaryMulti asks for misses, too: quiet gets would need a no-op at the
// end, for which the server sends what it has gathered, and again for what
// follows. At 64 callers that cost ten keys a fifth of both CPUs.
func appendBinaryMulti(dst []byte, req *Request) []byte {
	for _, key := range req.Keys {
		dst = appendHeader(dst, opcodeGetK, req)
		dst = append(dst, key...)
		fillLengths(dst[len(dst)-len(key)-headerSize:], 0, len(key), 0)
	}
	return dst
}

// appendHeader leaves the lengths at zero, which is right for a packet without
// a body.
func appendHeader(dst []byte, code byte, req *Request) []byte {
	var h [headerSize]byte
	h[0], h[1] = magicRequest, code
	binary.BigEndian.PutUint32(h[12:], req.Opaque)
	if req.Op == OpSet || req.Op == OpDelete {
		binary.BigEndian.PutUint64(h[16:], req.CAS)
	}
	return append(dst, h[:]...)
}

// fillLengths sets the lengths of a packet's extras, key and value.
func fillLengths(packet []byte, extras, key, value int) {
	binary.BigEndian.PutUint16(packet[2:], uint16(key))
	packet[4] = byte(extras)
	binary.BigEndian.PutUint32(packet[8:], uint32(extras+key+value))
}

func appendExtras(dst []byte, req *Request) []byte {
	switch req.Op {
	case OpSet, OpAdd, OpReplace:
		dst = binary.BigEndian.AppendUint32(dst, req.Flags)
		return binary.BigEndian.AppendUint32(dst, binaryExptime(req.Exptime))
	case OpGetAndTouch, OpTouch:
		return binary.BigEndian.AppendUint32(dst, binaryExptime(req.Exptime))
	case OpIncrement, OpDecrement:
		exptime := uint32(exptimeNoCreate)
		if req.Create {
			exptime = binaryExptime(req.Exptime)
		}
		dst = binary.BigEndian.AppendUint64(dst, req.Delta)
		dst = binary.BigEndian.AppendUint64(dst, req.Initial)
		return binary.BigEndian.AppendUint32(dst, exptime)
	}
	return dst
}

// binaryExptime has no sign: a negative time would be a date in 2106, and is
// sent as one in the past.
func binaryExptime(seconds int64) uint32 {
	if seconds < 0 {
		return exptimePast
	}
	return uint32(seconds)
}

// appendBinaryAuth is a SASL exchange of one step: the mechanism as the key,
// and as the value NUL, the user name, NUL, the password.
func appendBinaryAuth(dst []byte, req *Request) []byte {
	start := len(dst)
	dst = appendHeader(dst, opcodeAuth, req)
	dst = append(append(dst, saslPlain...), 0)
	dst = append(append(dst, req.Key...), 0)
	dst = append(dst, req.Value...)
	fillLengths(dst[start:], 0, len(saslPlain), 2+len(req.Key)+len(req.Value))
	return dst
}
