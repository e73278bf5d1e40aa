package proto

import (
	"fmt"
	"math"
)

// maxCounter is more than the digits of any counter, which decr may have padded
// with blanks.
const maxCounter = 32

// Parse implements Codec.
func (m Meta) Parse(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	switch req.Op {
	case OpVersion, OpStats, OpFlushAll, OpAuth:
		return Classic(m).Parse(buf, req, rep)
	}
	for {
		var k int
		k, step, err = m.parsePiece(buf[n:], req, rep)
		n += k
		if k == 0 || step != StepMore || err != nil {
			return n, step, err
		}
	}
}

// parsePiece reads one line, the tail of a value, or a counter.
func (m Meta) parsePiece(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	switch rep.state {
	case stateTail:
		if n, err = cutTail(buf); n == 0 {
			return 0, StepMore, err
		}
		rep.state = stateHead
		return n, rep.multiEnd(req), nil
	case stateNumber:
		return parseCounter(buf, req, rep)
	}
	line, n, err := cutLine(buf)
	if n == 0 {
		return 0, StepMore, err
	}
	step, err = m.parseHead(line, req, rep)
	return n, step, err
}

// parseHead reads a reply line: a return code of two letters, the length of
// the value behind VA, and flags.
func (m Meta) parseHead(line []byte, req *Request, rep *Reply) (Step, error) {
	if len(line) < 2 || len(line) > 2 && line[2] != ' ' {
		return metaRefusal(line, req, rep)
	}
	if string(line[:2]) == "VA" {
		size, flags, ok := field(skipBlanks(line[2:]))
		if !ok {
			return StepMore, fmt.Errorf("%w: a malformed VA line", ErrProtocol)
		}
		return m.parseValue(size, flags, req, rep)
	}
	status, ok := metaStatus(line[:2], req)
	if !ok {
		return metaRefusal(line, req, rep)
	}
	if _, err := rep.readFlags(line[2:], req); err != nil {
		return StepMore, err
	}
	if req.Op != OpGetMulti {
		rep.Status = status
	}
	return rep.multiEnd(req), nil
}

// parseValue reads what follows "VA <size>".
func (m Meta) parseValue(size uint64, b []byte, req *Request, rep *Reply) (Step, error) {
	placeholder, err := rep.readFlags(b, req)
	if err != nil {
		return StepMore, err
	}
	switch req.Op {
	case OpIncrement, OpDecrement:
		if size == 0 || size > maxCounter {
			return StepMore, unexpected(req)
		}
		rep.Size, rep.state = int(size), stateNumber
		return StepMore, nil
	case OpGet, OpGetAndTouch, OpGetMulti:
		if req.NoValue && req.Op != OpGetMulti {
			return StepMore, unexpected(req)
		}
	default:
		return StepMore, unexpected(req)
	}
	if err := rep.hit(size, maxValue(m.MaxValue)); err != nil {
		return StepMore, err
	}
	if placeholder && size == 0 {
		if req.Op != OpGetMulti {
			rep.Status = StatusMiss
		}
		return StepMore, nil
	}
	return StepValue, nil
}

// metaStatus is the outcome that a return code stands for, and whether that
// code may answer req.
func metaStatus(code []byte, req *Request) (Status, bool) {
	swap := req.Op == OpSet && req.CAS != 0
	counter := req.Op == OpIncrement || req.Op == OpDecrement
	switch string(code) {
	case "HD":
		return StatusOK, req.HasValue() || req.Op == OpDelete || req.Op == OpTouch ||
			req.NoValue && (req.Op == OpGet || req.Op == OpGetAndTouch)
	case "EN":
		return StatusMiss, req.Op == OpGet || req.Op == OpGetAndTouch || req.Op == OpGetMulti || req.Op == OpTouch
	case "NS":
		return StatusNotStored, req.HasValue() || counter && req.Create
	case "EX":
		return StatusExists, swap || req.Op == OpDelete && req.CAS != 0
	case "NF":
		if req.Op == OpReplace || req.Op == OpAppend || req.Op == OpPrepend {
			return StatusNotStored, true
		}
		return StatusMiss, swap || counter || req.Op == OpDelete
	}
	return 0, false
}

// metaRefusal reads an error line, which carries no opaque. In a multi-get it
// stands for one key.
func metaRefusal(line []byte, req *Request, rep *Reply) (Step, error) {
	if err := refusal(line, req, rep); err != nil {
		return StepMore, err
	}
	if req.Op != OpGetMulti || rep.Status == StatusAuth {
		return StepDone, nil
	}
	rep.next++
	return rep.multiEnd(req), nil
}

// readFlags reads the flags of a reply in any order and verifies the opaque.
// Flags that nobody asked for, now or in later versions, are passed over.
func (rep *Reply) readFlags(b []byte, req *Request) (placeholder bool, err error) {
	rep.Flags, rep.CAS, rep.TTL = 0, 0, TTLUnknown
	verified, ok := false, true
	for len(b) > 0 && ok {
		c := b[0]
		b = b[1:]
		var v uint64
		switch c {
		case ' ':
			continue
		case 'f':
			v, b, ok = number(b)
			rep.Flags, ok = uint32(v), ok && v <= math.MaxUint32
		case 'c':
			rep.CAS, b, ok = number(b)
		case 't':
			rep.TTL, b, ok = ttl(b)
		case 'O':
			again := verified // for a line that answers one key, and would pass two
			b, verified = rep.readOpaque(b, req)
			ok = verified && !again
		case 'W', 'Z':
			placeholder = true
		default:
			for len(b) > 0 && b[0] != ' ' {
				b = b[1:]
			}
		}
		ok = ok && (len(b) == 0 || b[0] == ' ')
	}
	if !ok || !verified {
		return false, fmt.Errorf("%w: flags that do not answer %s", ErrProtocol, req.Op)
	}
	return placeholder, nil
}

// readOpaque verifies the opaque; that of a multi-get ends in the place of the
// key whose turn it is.
func (rep *Reply) readOpaque(b []byte, req *Request) (rest []byte, ok bool) {
	v, b, ok := number(b)
	if !ok || v != uint64(req.Opaque) || req.Op != OpGetMulti {
		return b, ok && v == uint64(req.Opaque)
	}
	if len(b) == 0 || b[0] != '.' {
		return b, false
	}
	v, b, ok = number(b[1:])
	if !ok || v != uint64(rep.next) {
		return b, false
	}
	rep.Index = rep.next
	rep.next++
	return b, true
}

// ttl reads the seconds behind t; -1 is "never".
func ttl(b []byte) (seconds int64, rest []byte, ok bool) {
	if len(b) >= 2 && b[0] == '-' && b[1] == '1' {
		return TTLNone, b[2:], true
	}
	v, rest, ok := number(b)
	return int64(v), rest, ok && v <= math.MaxInt64
}

// parseCounter reads the value of a counter and its tail.
func parseCounter(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	if len(buf) < rep.Size+2 {
		return 0, StepMore, nil
	}
	v, rest, ok := field(buf[:rep.Size])
	if !ok || len(rest) > 0 {
		return 0, StepMore, unexpected(req)
	}
	if n, err = cutTail(buf[rep.Size:]); err != nil {
		return 0, StepMore, err
	}
	rep.Number = v
	return rep.Size + n, StepDone, nil
}
