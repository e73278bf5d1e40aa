package proto

// Text is the ASCII protocol as it costs the least, for the servers of Meta:
// Meta, but for multi-gets of many keys, which the server answers with less work
// as one classic command. The zero value is ready for use.
//
// Values of such a multi-get are verified by their keys. The last key is asked
// for with a meta get, whose answer carries the opaque and proves that the list
// before it was complete and this request's.
type Text struct {
	MaxValue int // the largest value accepted in a reply, in bytes; 0 means DefaultMaxValue
}

// maxMetaKeys is how many keys a multi-get may have to go out as meta gets. The
// server sends the answer to a classic get apart: with 20 keys that takes more of
// both CPUs than it saves, with 40 it saves a tenth.
const maxMetaKeys = 24

func (t Text) lists(req *Request) bool {
	return req.Op == OpGetMulti && len(req.Keys) > maxMetaKeys
}

// Check implements Codec.
func (t Text) Check(req *Request) error { return check(req) }

// Tail implements Codec.
func (t Text) Tail() string { return "\r\n" }

// AppendRequest implements Codec.
func (t Text) AppendRequest(dst []byte, req *Request) []byte {
	if !t.lists(req) {
		return Meta(t).AppendRequest(dst, req)
	}
	last := len(req.Keys) - 1
	return appendMetaMulti(appendClassicMulti(dst, req.Keys[:last]), req, last)
}

// Parse implements Codec.
func (t Text) Parse(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	for t.lists(req) && rep.next < len(req.Keys) && rep.state != stateLast {
		var k int
		k, step, err = t.parseList(buf[n:], req, rep)
		n += k
		if k == 0 && rep.state != stateLast || step != StepMore || err != nil {
			return n, step, err
		}
	}
	k, step, err := Meta(t).Parse(buf[n:], req, rep)
	return n + k, step, err
}

// parseList reads the next line of the answer to the classic get, or the tail of
// a value. A proxy answers key by key and puts END behind an error line, a plain
// server does not: what follows there is the answer for the last key.
func (t Text) parseList(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	last := len(req.Keys) - 1
	if rep.state == stateTail {
		return parseTail(buf, rep)
	}
	line, n, err := cutLine(buf)
	if n == 0 {
		return 0, StepMore, err
	}
	switch {
	case len(line) > 6 && string(line[:6]) == "VALUE ":
		if err := Classic(t).parseValue(line[6:], req, rep); err != nil {
			return n, StepMore, err
		}
		if rep.Index == last {
			return n, StepMore, unexpected(req)
		}
		return n, StepValue, nil
	case string(line) == "END":
		rep.state, rep.next = stateLast, last
		return n, StepMore, nil
	case rep.Status == StatusServerError && (hasWord(line, "VA") || hasWord(line, "EN")):
		rep.state, rep.next = stateLast, last
		return 0, StepMore, nil
	case rep.next == last:
		return n, StepMore, unexpected(req) // more answers than keys
	}
	if err := refusal(line, req, rep); err != nil {
		return n, StepMore, err
	}
	if rep.Status == StatusAuth {
		return n, StepDone, nil
	}
	rep.next++
	return n, StepMore, nil
}
