package proto

import "strconv"

// Classic is the ASCII protocol without meta commands, as servers from 1.4 on
// speak it (OpGetAndTouch: from 1.5 on). The zero value is ready for use.
//
// A hit carries its key and is verified by it. No other reply says whose it
// is; of those the form is verified, which tells most operations apart.
//
// It lacks deletion by CAS and the creation of counters, does not tell TTLs or
// the CAS of what it stored, and sends the value of a get that wants none.
type Classic struct {
	MaxValue int // the largest value accepted in a reply, in bytes; 0 means DefaultMaxValue
}

// Check implements Codec.
func (c Classic) Check(req *Request) error {
	switch req.Op {
	case OpDelete:
		if req.CAS != 0 {
			return ErrUnsupported
		}
	case OpIncrement, OpDecrement:
		if req.Create {
			return ErrUnsupported
		}
	}
	return check(req)
}

// Tail implements Codec.
func (c Classic) Tail() string { return "\r\n" }

// AppendRequest implements Codec. Every get is one of the forms that return the
// CAS.
func (c Classic) AppendRequest(dst []byte, req *Request) []byte {
	switch req.Op {
	case OpGet:
		dst = append(append(dst, "gets "...), req.Key...)
	case OpGetAndTouch:
		dst = strconv.AppendInt(append(dst, "gats "...), req.Exptime, 10)
		dst = append(append(dst, ' '), req.Key...)
	case OpGetMulti:
		return appendClassicMulti(dst, req.Keys)
	case OpSet, OpAdd, OpReplace, OpAppend, OpPrepend:
		return appendClassicStore(dst, req)
	case OpDelete:
		dst = append(append(dst, "delete "...), req.Key...)
	case OpTouch:
		dst = append(append(dst, "touch "...), req.Key...)
		dst = strconv.AppendInt(append(dst, ' '), req.Exptime, 10)
	case OpIncrement, OpDecrement:
		dst = append(append(dst, req.Op.String()...), ' ')
		dst = append(append(dst, req.Key...), ' ')
		dst = strconv.AppendUint(dst, req.Delta, 10)
	case OpVersion:
		dst = append(dst, "version"...)
	case OpStats:
		dst = append(dst, "stats"...)
		if req.Key != "" {
			dst = append(append(dst, ' '), req.Key...)
		}
	case OpFlushAll:
		dst = append(dst, "flush_all"...)
	case OpAuth:
		return appendClassicAuth(dst, req)
	}
	return append(dst, "\r\n"...)
}

func appendClassicMulti(dst []byte, keys []string) []byte {
	dst = append(dst, "gets"...)
	for _, key := range keys {
		dst = append(append(dst, ' '), key...)
	}
	return append(dst, "\r\n"...)
}

func appendClassicStore(dst []byte, req *Request) []byte {
	swap := req.Op == OpSet && req.CAS != 0
	if swap {
		dst = append(dst, "cas "...)
	} else {
		dst = append(append(dst, req.Op.String()...), ' ')
	}
	dst = append(append(dst, req.Key...), ' ')
	dst = append(strconv.AppendUint(dst, uint64(req.Flags), 10), ' ')
	dst = append(strconv.AppendInt(dst, req.Exptime, 10), ' ')
	dst = strconv.AppendUint(dst, uint64(len(req.Value)), 10)
	if swap {
		dst = strconv.AppendUint(append(dst, ' '), req.CAS, 10)
	}
	return append(dst, "\r\n"...)
}

// AppendKey makes the OpGet at the end of dst, or the gets that it has made one
// of so far, a get of one key more. The reply is that of an OpGetMulti of all of
// them.
func (c Classic) AppendKey(dst []byte, key string) []byte {
	dst = append(dst[:len(dst)-len("\r\n")], ' ')
	return append(append(dst, key...), "\r\n"...)
}

// appendClassicAuth is the disguised set of protocol.txt, "Authentication". A
// server that wants no authentication would keep the credentials as an item
// for everybody to read: the exptime, which is ignored otherwise, lets that
// item expire at once.
func appendClassicAuth(dst []byte, req *Request) []byte {
	dst = append(dst, "set auth 0 -1 "...)
	dst = strconv.AppendUint(dst, uint64(len(req.Key)+1+len(req.Value)), 10)
	dst = append(append(dst, "\r\n"...), req.Key...)
	dst = append(append(dst, ' '), req.Value...)
	return append(dst, "\r\n"...)
}
