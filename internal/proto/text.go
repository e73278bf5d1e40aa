package proto

// Text is the ASCII protocol as it costs the least, for the servers of Meta:
// Meta, but for multi-gets of many keys, which the server answers with less work
// as one classic command. The zero value is ready for use.
//
// Of such a multi-get the first key is asked for with a meta get, whose answer
// carries the opaque and proves that what follows is this request's. The values
// of the list are verified by their keys, and a no-op ends it: an error line
// alone does not, for a proxy goes on behind it and a plain server does not. The
// list does not tell an empty placeholder from an empty value.
type Text struct {
	MaxValue int // the largest value accepted in a reply, in bytes; 0 means DefaultMaxValue
}

// maxMetaKeys is how many keys a multi-get may have to go out as meta gets. The
// server sends the answers to a classic get and to a no-op apart: with 20 keys
// that takes more of both CPUs than it saves, with 40 it saves a tenth.
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
	dst = appendMetaMulti(dst, req, 1)
	dst = appendClassicMulti(dst, req.Keys[1:])
	return append(dst, "mn\r\n"...)
}

// Parse implements Codec.
func (t Text) Parse(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	if !t.lists(req) {
		return Meta(t).Parse(buf, req, rep)
	}
	for {
		var k int
		k, step, err = t.parsePiece(buf[n:], req, rep)
		n += k
		if k == 0 || step != StepMore || err != nil {
			return n, step, err
		}
	}
}

// parsePiece reads the next line of the answer to a meta get and a list, or the
// tail of a value.
func (t Text) parsePiece(buf []byte, req *Request, rep *Reply) (n int, step Step, err error) {
	switch {
	case rep.state == stateTail:
		return parseTail(buf, rep)
	case rep.next == 0:
		return Meta(t).parsePiece(buf, req, rep)
	}
	line, n, err := cutLine(buf)
	if n == 0 {
		return 0, StepMore, err
	}
	if len(line) > 6 && string(line[:6]) == "VALUE " && rep.state != stateEnd {
		return n, StepValue, Classic(t).parseValue(line[6:], req, rep)
	}
	step, err = parseListEnd(line, req, rep)
	return n, step, err
}

// parseListEnd reads a line of a list that is not a value's head: END, an error
// line, which a plain server sends instead of it, or the no-op's answer behind
// either.
func parseListEnd(line []byte, req *Request, rep *Reply) (Step, error) {
	switch {
	case string(line) == "MN" && (rep.state == stateEnd || rep.state == stateRefused):
		return StepDone, nil
	case rep.state == stateEnd:
		return StepMore, unexpected(req)
	case string(line) == "END":
		rep.state = stateEnd
		return StepMore, nil
	}
	if err := refusal(line, req, rep); err != nil {
		return StepMore, err
	}
	if rep.Status == StatusAuth {
		return StepDone, nil
	}
	rep.state = stateRefused
	return StepMore, rep.passKey(req)
}

// passKey notes that a refusal stood for one key of a multi-get. It bounds the
// reply of a server that goes on refusing.
func (rep *Reply) passKey(req *Request) error {
	if rep.next >= len(req.Keys) {
		return unexpected(req)
	}
	rep.next++
	return nil
}
