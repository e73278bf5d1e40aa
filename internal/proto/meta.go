package proto

import "strconv"

// Meta is the ASCII protocol with meta commands, for servers from 1.6.18 on:
// before it a miss carries no opaque. Version, statistics, flush and
// authentication have no meta form and are those of Classic. The zero value is
// ready for use.
//
// Every reply but an error line carries the opaque of its request and is
// verified by it. The key is not asked back: a server returns it in base64 when
// the item was stored so, and the opaque says more in fewer bytes.
//
// An item that another client marked stale is returned with its value, as
// Classic and Binary do. An empty placeholder, made for a client that is to
// fill it (protocol.txt, "Meta Get", flag N), is a miss when its value is asked
// for.
type Meta struct {
	MaxValue int // the largest value accepted in a reply, in bytes; 0 means DefaultMaxValue
}

// Check implements Codec.
func (m Meta) Check(req *Request) error { return check(req) }

// Tail implements Codec.
func (m Meta) Tail() string { return "\r\n" }

// AppendRequest implements Codec.
func (m Meta) AppendRequest(dst []byte, req *Request) []byte {
	switch req.Op {
	case OpGet, OpGetAndTouch, OpTouch:
		dst = appendMetaGet(dst, req)
	case OpGetMulti:
		return appendMetaMulti(dst, req, len(req.Keys))
	case OpSet, OpAdd, OpReplace, OpAppend, OpPrepend:
		dst = appendMetaStore(dst, req)
	case OpDelete:
		dst = append(append(dst, "md "...), req.Key...)
		if req.CAS != 0 {
			dst = strconv.AppendUint(append(dst, " C"...), req.CAS, 10)
		}
	case OpIncrement, OpDecrement:
		dst = appendMetaCounter(dst, req)
	default:
		return Classic(m).AppendRequest(dst, req)
	}
	dst = strconv.AppendUint(append(dst, " O"...), uint64(req.Opaque), 10)
	return append(dst, "\r\n"...)
}

// appendMetaGet asks for the TTL before it sets a new one: flags are worked off
// in order, and t behind T would tell what was just set. A plain get does not
// ask: few want to know, and its reply is parsed for all.
func appendMetaGet(dst []byte, req *Request) []byte {
	dst = append(append(dst, "mg "...), req.Key...)
	if req.Op != OpTouch {
		if !req.NoValue {
			dst = append(dst, " v"...)
		}
		dst = append(dst, " f c"...)
		if req.Op == OpGetAndTouch || req.NoValue {
			dst = append(dst, " t"...)
		}
	}
	if req.Op != OpGet {
		dst = strconv.AppendInt(append(dst, " T"...), req.Exptime, 10)
	}
	return dst
}

// appendMetaMulti asks for the first n keys, under opaques that name their
// place. Misses are asked for, too: quiet gets would need a no-op at the end,
// which nothing verifies, and for which the server sends what it has gathered.
func appendMetaMulti(dst []byte, req *Request, n int) []byte {
	for i, key := range req.Keys[:n] {
		dst = append(append(dst, "mg "...), key...)
		dst = strconv.AppendUint(append(dst, " v f c O"...), uint64(req.Opaque), 10)
		dst = strconv.AppendUint(append(dst, '.'), uint64(i), 10)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

func appendMetaStore(dst []byte, req *Request) []byte {
	dst = append(append(dst, "ms "...), req.Key...)
	dst = strconv.AppendUint(append(dst, ' '), uint64(len(req.Value)), 10)
	if req.Op != OpAppend && req.Op != OpPrepend {
		if req.Exptime != 0 {
			dst = strconv.AppendInt(append(dst, " T"...), req.Exptime, 10)
		}
		if req.Flags != 0 {
			dst = strconv.AppendUint(append(dst, " F"...), uint64(req.Flags), 10)
		}
	}
	switch req.Op {
	case OpSet:
		if req.CAS != 0 {
			dst = strconv.AppendUint(append(dst, " C"...), req.CAS, 10)
		}
	case OpAdd:
		dst = append(dst, " ME"...)
	case OpReplace:
		dst = append(dst, " MR"...)
	case OpAppend:
		dst = append(dst, " MA"...)
	case OpPrepend:
		dst = append(dst, " MP"...)
	}
	return append(dst, " c"...)
}

func appendMetaCounter(dst []byte, req *Request) []byte {
	dst = append(append(dst, "ma "...), req.Key...)
	dst = append(dst, " v c"...)
	if req.Op == OpDecrement {
		dst = append(dst, " MD"...)
	}
	dst = strconv.AppendUint(append(dst, " D"...), req.Delta, 10)
	if req.Create {
		dst = strconv.AppendInt(append(dst, " N"...), req.Exptime, 10)
		dst = strconv.AppendUint(append(dst, " J"...), req.Initial, 10)
	}
	return dst
}
