package memcachetest

import (
	"encoding/binary"
	"io"
	"strings"
)

// Binary packets (protocol-binary.txt, "Packet structure").
const (
	binaryRequest  = 0x80
	binaryResponse = 0x81
	headerSize     = 24
)

// status is the outcome in a binary reply.
type status uint16

const (
	statusOK           status = 0x00
	statusNotFound     status = 0x01
	statusExists       status = 0x02
	statusTooLarge     status = 0x03
	statusInvalid      status = 0x04
	statusNotStored    status = 0x05
	statusNotNumber    status = 0x06
	statusAuth         status = 0x20
	statusAuthContinue status = 0x21
	statusUnknown      status = 0x81
	statusNoMemory     status = 0x82
)

// text is what memcached adds to an error, for humans.
func (s status) text() string {
	switch s {
	case statusNotFound:
		return "Not found"
	case statusExists:
		return "Data exists for key."
	case statusTooLarge:
		return "Too large."
	case statusInvalid:
		return "Invalid arguments"
	case statusNotStored:
		return "Not stored."
	case statusNotNumber:
		return "Non-numeric server-side value for incr or decr"
	case statusAuth:
		return "Auth failure."
	case statusUnknown:
		return "Unknown command"
	}
	return ""
}

// frame is one binary request.
type frame struct {
	layout
	number byte // the opcode on the wire, echoed by replies
	opaque uint32
	cas    uint64
	extras []byte
	key    string
	value  []byte

	lenExtras, lenKey, lenValue int
}

// exptime reads one from the extras. Unlike those of the ASCII protocol it is not
// signed: 0xffffffff is a date in 2106.
func (f *frame) exptime(at int) int64 { return int64(binary.BigEndian.Uint32(f.extras[at:])) }

// readHeader reads the first 24 bytes of a request.
func (c *conn) readHeader() (f frame, err error) {
	h, err := c.in.Peek(headerSize)
	if err != nil {
		return f, err
	}
	if h[0] != binaryRequest {
		return f, errClose
	}
	be := binary.BigEndian
	f = frame{layout: layoutOf(h[1]), number: h[1], opaque: be.Uint32(h[12:]), cas: be.Uint64(h[16:])}
	f.lenKey, f.lenExtras = int(be.Uint16(h[2:])), int(h[4])
	body := int64(be.Uint32(h[8:])) - int64(f.lenKey+f.lenExtras)
	f.lenValue = int(max(body, 0))
	c.in.Discard(headerSize) // cannot fail: it is buffered
	if body < 0 {
		return f, errClose
	}
	return f, nil
}

// readBody reads what follows the header, but no value that is too large. The
// caller has checked the other lengths.
func (c *conn) readBody(f *frame, refusal status) error {
	head := make([]byte, f.lenExtras+f.lenKey)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return err
	}
	f.extras, f.key = head[:f.lenExtras], string(head[f.lenExtras:])
	if refusal == statusTooLarge {
		return c.skip(int64(f.lenValue))
	}
	f.value = make([]byte, f.lenValue)
	_, err := io.ReadFull(c.in, f.value)
	return err
}

// reply appends a reply packet.
func (c *conn) reply(f *frame, s status, cas uint64, extras []byte, key string, value []byte) {
	be := binary.BigEndian
	c.out = append(c.out, binaryResponse, f.number)
	c.out = be.AppendUint16(c.out, uint16(len(key)))
	c.out = append(c.out, byte(len(extras)), 0)
	c.out = be.AppendUint16(c.out, uint16(s))
	c.out = be.AppendUint32(c.out, uint32(len(extras)+len(key)+len(value)))
	c.out = be.AppendUint32(c.out, f.opaque)
	c.out = be.AppendUint64(c.out, cas)
	c.out = append(append(append(c.out, extras...), key...), value...)
}

// refuse answers with an error; quiet commands tell errors as well.
func (c *conn) refuse(f *frame, s status) {
	c.reply(f, s, 0, nil, "", []byte(s.text()))
}

// failBinary answers with the error line of a Fault.
func (c *conn) failBinary(f *frame, line string) {
	s := statusNoMemory
	switch {
	case line == "ERROR":
		s = statusUnknown
	case strings.HasPrefix(line, "CLIENT_ERROR"):
		s = statusInvalid
	}
	c.reply(f, s, 0, nil, "", []byte(line))
}
