package proto

import (
	"encoding/binary"
	"fmt"
)

// The statuses that mean more than that the request was refused.
const (
	statusNotFound  = 0x01
	statusExists    = 0x02
	statusTooLarge  = 0x03
	statusInvalid   = 0x04
	statusNotStored = 0x05
	statusNotNumber = 0x06
	statusAuth      = 0x20
	statusAuthMore  = 0x21
)

// header is the head of a reply packet.
type header struct {
	opcode byte
	status uint16
	extras int
	key    int
	body   uint64 // extras, key and value together
	cas    uint64
}

// cutHeader reads the header in front of buf and holds it to req. It is not ok
// while it is incomplete.
func cutHeader(buf []byte, req *Request) (h header, ok bool, err error) {
	if len(buf) < headerSize {
		return h, false, nil
	}
	h = header{
		opcode: buf[1],
		key:    int(binary.BigEndian.Uint16(buf[2:])),
		extras: int(buf[4]),
		status: binary.BigEndian.Uint16(buf[6:]),
		body:   uint64(binary.BigEndian.Uint32(buf[8:])),
		cas:    binary.BigEndian.Uint64(buf[16:]),
	}
	switch {
	case buf[0] != magicReply || buf[5] != 0:
		err = fmt.Errorf("%w: not the header of a reply", ErrProtocol)
	case binary.BigEndian.Uint32(buf[12:]) != req.Opaque, h.opcode != opcode(req):
		err = unexpected(req)
	case h.key > MaxKey || uint64(h.extras+h.key) > h.body:
		err = fmt.Errorf("%w: a header whose lengths contradict each other", ErrProtocol)
	}
	return h, err == nil, err
}

// Parse implements Codec.
func (b Binary) Parse(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	for {
		var k int
		k, step, err = b.parsePacket(buf[n:], req, rep)
		n += k
		if k == 0 || step != StepMore || err != nil {
			return n, step, err
		}
	}
}

// parsePacket reads one packet, or that of a hit up to its value.
func (b Binary) parsePacket(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	if rep.state == stateTail && rep.multiEnd(req) == StepDone {
		return 0, StepDone, nil
	}
	h, ok, err := cutHeader(buf, req)
	if !ok {
		return 0, StepMore, err
	}
	isHit := h.opcode == opcodeGet || h.opcode == opcodeGAT || h.opcode == opcodeGetK
	if isHit && h.status == 0 {
		return b.parseHit(h, buf, req, rep)
	}
	if headerSize+h.body > MaxHead {
		return 0, StepMore, fmt.Errorf("%w: a packet of more than %d bytes without a value", ErrProtocol, MaxHead)
	}
	n = headerSize + int(h.body)
	if len(buf) < n {
		return 0, StepMore, nil
	}
	// A miss repeats the key, a refusal does not.
	if key := buf[headerSize+h.extras:][:h.key]; req.Op == OpGetMulti && h.key > 0 && string(key) != req.Keys[rep.next] {
		return 0, StepMore, unexpected(req)
	}
	if h.status != 0 {
		step, err = parseStatus(h, buf[:n], req, rep)
	} else {
		step, err = parseBody(h, buf[headerSize:n], req, rep)
	}
	return n, step, err
}

// parseHit reads the flags and the key of a hit.
func (b Binary) parseHit(h header, buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	if h.extras != 4 || req.Op != OpGetMulti && h.key != 0 {
		return 0, StepMore, unexpected(req)
	}
	n = headerSize + h.extras + h.key
	if len(buf) < n {
		return 0, StepMore, nil
	}
	if req.Op == OpGetMulti {
		if string(buf[n-h.key:n]) != req.Keys[rep.next] {
			return 0, StepMore, unexpected(req)
		}
		rep.Index = rep.next
		rep.next++
	}
	rep.Flags, rep.CAS, rep.TTL = binary.BigEndian.Uint32(buf[headerSize:]), h.cas, TTLUnknown
	return n, StepValue, rep.hit(h.body-uint64(h.extras+h.key), maxValue(b.MaxValue))
}

// parseBody reads a success that carries no item.
func parseBody(h header, body []byte, req *Request, rep *Reply) (Step, error) {
	rep.CAS = h.cas
	fits := len(body) == 0
	switch req.Op {
	case OpTouch, OpGetAndTouch:
		rep.TTL = TTLUnknown
		if h.extras == 4 && len(body) == 4 {
			rep.Flags, fits = binary.BigEndian.Uint32(body), true
		}
	case OpIncrement, OpDecrement:
		if fits = h.extras == 0 && h.key == 0 && len(body) == 8; fits {
			rep.Number = binary.BigEndian.Uint64(body)
		}
	case OpVersion:
		if fits = h.extras == 0 && h.key == 0; fits {
			rep.Line = string(body[:min(len(body), maxLine)])
		}
	case OpAuth:
		fits = true
	case OpStats:
		if len(body) > 0 {
			name, value := body[h.extras:h.extras+h.key], body[h.extras+h.key:]
			return StepMore, rep.addStat(name, value, headerSize+len(body))
		}
	}
	if !fits {
		return StepMore, unexpected(req)
	}
	return StepDone, nil
}

// parseStatus reads a packet that says why not. In a multi-get it stands for one
// key, unless the server wants credentials: then nothing more comes.
func parseStatus(h header, packet []byte, req *Request, rep *Reply) (Step, error) {
	if h.status == statusInvalid {
		return StepMore, fmt.Errorf("%w: the server calls %s invalid and closes", ErrProtocol, req.Op)
	}
	status := binaryStatus(h.status, req)
	if req.Op != OpGetMulti || status != StatusMiss {
		rep.Status = status
	}
	if status == StatusAuth || status == StatusServerError && rep.Line == "" { // else another key was refused before
		if rep.Line = words("", packet[headerSize+h.extras+h.key:], req); rep.Line == "" {
			rep.Line = fmt.Sprintf("status %#x", h.status)
		}
	}
	if req.Op != OpGetMulti || status == StatusAuth {
		return StepDone, nil
	}
	rep.next++
	return rep.multiEnd(req), nil
}

// binaryStatus is what a reply's status means for req. Opcode and opaque say
// that it is the answer: a status that should not answer req, or that we know
// nothing of, is a refusal like any other.
func binaryStatus(status uint16, req *Request) Status {
	counter := req.Op == OpIncrement || req.Op == OpDecrement
	swap := req.CAS != 0 && (req.Op == OpSet || req.Op == OpDelete)
	switch {
	case status == statusAuth || status == statusAuthMore:
		return StatusAuth
	case status == statusNotFound && (swap || req.Op <= OpGetMulti || req.Op >= OpDelete && req.Op <= OpDecrement):
		return StatusMiss
	case status == statusNotFound && req.Op >= OpReplace && req.Op <= OpPrepend,
		status == statusExists && req.Op == OpAdd,
		status == statusNotStored && (req.HasValue() || counter):
		return StatusNotStored
	case status == statusExists && swap:
		return StatusExists
	case status == statusTooLarge && req.HasValue():
		return StatusTooLarge
	case status == statusNotNumber && counter:
		return StatusNotNumber
	}
	return StatusServerError
}
