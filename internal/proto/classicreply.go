package proto

import (
	"bytes"
	"fmt"
	"math"
)

// maxStats bounds the answer to OpStats, in bytes: that of "stats conns" grows
// by some 250 bytes for every connection.
const maxStats = 16 << 20

// Parse implements Codec.
func (c Classic) Parse(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	for {
		var k int
		switch req.Op {
		case OpGet, OpGetAndTouch, OpGetMulti:
			k, step, err = c.parseValues(buf[n:], req, rep)
		case OpStats:
			k, step, err = parseStats(buf[n:], req, rep)
		default:
			k, step, err = parseLine(buf[n:], req, rep)
		}
		n += k
		if k == 0 || step != StepMore || err != nil {
			return n, step, err
		}
	}
}

// parseValues reads the next line of a list of values, or the tail of one.
func (c Classic) parseValues(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	if rep.state == stateTail {
		return parseTail(buf, rep)
	}
	line, n, err := cutLine(buf)
	if n == 0 {
		return 0, StepMore, err
	}
	if len(line) > 6 && string(line[:6]) == "VALUE " {
		return n, StepValue, c.parseValue(line[6:], req, rep)
	}
	return n, StepDone, parseEnd(line, req, rep)
}

// parseTail reads what stands behind a value of a list.
func parseTail(buf []byte, rep *Reply) (n int, step Step, err error) {
	if n, err = cutTail(buf); n > 0 {
		rep.state = stateNext
	}
	return n, StepMore, err
}

// parseValue reads "<key> <flags> <bytes> <cas unique>".
func (c Classic) parseValue(b []byte, req *Request, rep *Reply) error {
	b = skipBlanks(b)
	i := bytes.IndexByte(b, ' ')
	if i < 0 || !rep.matchKey(b[:i], req) {
		return fmt.Errorf("%w: a value of a key that was not asked for", ErrProtocol)
	}
	flags, b, ok1 := field(skipBlanks(b[i:]))
	size, b, ok2 := field(b)
	cas, b, ok3 := field(b)
	if !ok1 || !ok2 || !ok3 || len(b) > 0 || flags > math.MaxUint32 {
		return fmt.Errorf("%w: a malformed VALUE line", ErrProtocol)
	}
	rep.Flags, rep.CAS, rep.TTL = uint32(flags), cas, TTLUnknown
	return rep.hit(size, maxValue(c.MaxValue))
}

// matchKey tells whether key is the one asked for, or one of those that the
// reply has not passed yet, which it notes: servers answer a multi-get in its
// own order.
func (rep *Reply) matchKey(key []byte, req *Request) bool {
	if req.Op != OpGetMulti {
		return rep.state == stateHead && string(key) == req.Key
	}
	for i := rep.next; i < len(req.Keys); i++ {
		if string(key) == req.Keys[i] {
			rep.Index, rep.next = i, i+1
			return true
		}
	}
	return false
}

// hit notes the length of a value that is about to follow.
func (rep *Reply) hit(size, limit uint64) error {
	if size > limit {
		return fmt.Errorf("%w: a value of %d bytes, over the limit of %d", ErrProtocol, size, limit)
	}
	rep.Size, rep.state = int(size), stateTail
	return nil
}

// parseEnd reads a line that is not a value's head.
//
// A proxy answers a multi-get key by key, so that an error line in it does not
// end the reply, while that of a plain server does. An error in the first place
// is taken for the end, and any other, whose end cannot be known, costs the
// connection.
func parseEnd(line []byte, req *Request, rep *Reply) error {
	switch {
	case string(line) == "END":
		if req.Op != OpGetMulti && rep.state == stateHead {
			rep.Status = StatusMiss
		}
		return nil
	case rep.state == stateNext:
		return unexpected(req)
	}
	return refusal(line, req, rep)
}

// parseStats reads one line of a list of statistics. "stats reset" has none.
func parseStats(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	line, n, err := cutLine(buf)
	if n == 0 {
		return 0, StepMore, err
	}
	if len(line) > 5 && string(line[:5]) == "STAT " {
		name, value, _ := bytes.Cut(skipBlanks(line[5:]), []byte(" "))
		return n, StepMore, rep.addStat(name, value, n)
	}
	if string(line) == "END" || string(line) == "RESET" && len(rep.Stats) == 0 {
		return n, StepDone, nil
	}
	if len(rep.Stats) > 0 {
		return n, StepDone, unexpected(req)
	}
	return n, StepDone, refusal(line, req, rep)
}

// addStat keeps one statistic, which took n bytes on the wire.
func (rep *Reply) addStat(name, value []byte, n int) error {
	if rep.next += n; rep.next > maxStats {
		return fmt.Errorf("%w: statistics of more than %d bytes", ErrProtocol, maxStats)
	}
	rep.Stats = append(rep.Stats, Stat{Name: string(name), Value: string(value)})
	return nil
}

// parseLine reads a reply of a single line.
func parseLine(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	line, n, err := cutLine(buf)
	if n == 0 {
		return 0, StepMore, err
	}
	if status, ok := lineStatus(line, req); ok {
		rep.Status = status
		return n, StepDone, nil
	}
	switch req.Op {
	case OpIncrement, OpDecrement:
		if v, rest, ok := field(line); ok && len(rest) == 0 {
			rep.Number = v
			return n, StepDone, nil
		}
	case OpVersion:
		if hasWord(line, "VERSION") {
			line = skipBlanks(line[len("VERSION"):])
			rep.Line = string(line[:min(len(line), maxLine)])
			return n, StepDone, nil
		}
	}
	return n, StepDone, refusal(line, req, rep)
}

// lineStatus is the outcome of a reply that is a single word, and whether that
// word may answer req. NOT_STORED may answer any store: proxies say so when
// they drop one.
func lineStatus(line []byte, req *Request) (Status, bool) {
	swap := req.Op == OpSet && req.CAS != 0
	switch string(line) {
	case "STORED":
		return StatusOK, req.HasValue() || req.Op == OpAuth
	case "NOT_STORED":
		return StatusNotStored, req.HasValue()
	case "EXISTS":
		return StatusExists, swap
	case "NOT_FOUND":
		return StatusMiss, swap || req.Op >= OpDelete && req.Op <= OpDecrement
	case "DELETED":
		return StatusOK, req.Op == OpDelete
	case "TOUCHED":
		return StatusOK, req.Op == OpTouch
	case "OK":
		return StatusOK, req.Op == OpFlushAll
	}
	return 0, false
}
