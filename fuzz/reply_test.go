// Package fuzz holds the fuzz targets of the wire protocols and of node lists;
// others stand beside what they fuzz. go test runs the seeds of all,
// `make fuzz` each of them for a minute.
package fuzz

import (
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed99545744/msm/internal/proto"
)

// maxValue is the MaxValue of the codecs here.
const maxValue = 1000

// FuzzClassicReply reads any bytes as a classic reply. What was a hit for one
// key must not be one for another.
func FuzzClassicReply(f *testing.F) {
	seedReplies(f, [][]string{
		proto.OpGet: {"VALUE a 5 3 20\r\nabc\r\nEND\r\n", "END\r\n", "VALUE  a  5 0 20 \r\n\r\nEND \r\n", "VALUE a 5 4294967296 20\r\n",
			"VALUE a 5 1 20\r\nx\r\nVALUE a 5 1 20\r\nx\r\nEND\r\n", strings.Repeat("x", 3000)},
		proto.OpGetAndTouch: {"VALUE a 4294967295 5 18446744073709551615\r\nEND\r\n\r\nEND\r\n", "SERVER_ERROR out of memory\r\n"},
		proto.OpGetMulti: {"VALUE a 5 3 20\r\nabc\r\nVALUE c 5 0 20\r\n\r\nEND\r\n", "SERVER_ERROR busy\r\n", "VALUE a2 1 1 1\r\nx\r\nEND\r\n",
			"VALUE a 1 1 1\r\nx\r\nVALUE a 1 1 1\r\nx\r\nEND\r\n", "END\r\nVALUE a 1 1 1\r\nx\r\nEND\r\n"},
		proto.OpSet:       {"STORED\r\n", "EXISTS\r\n", "NOT_FOUND\r\n", "SERVER_ERROR object too large for cache\r\n"},
		proto.OpDelete:    {"DELETED\r\n", "CLIENT_ERROR bad command line format\r\n"},
		proto.OpIncrement: {"18446744073709551615\r\n", "9 \r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
		proto.OpVersion:   {"VERSION 1.6.18\r\n", "CLIENT_ERROR unauthenticated\r\n", "ERROR Too many open connections\r\n"},
		proto.OpStats:     {"STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n", "RESET\r\n"},
	})
	c := proto.Classic{MaxValue: maxValue}
	fuzzReplies(f, c, func(t *testing.T, req proto.Request, reply string, got outcome) {
		other := req
		other.Key, other.Keys = "other", []string{"other1", "other2"}
		if len(got.hits) > 0 && !strings.Contains(reply, "other") && !read(t, c, &other, reply).failed {
			t.Errorf("reply %q to %s is accepted for another key", reply, req.Op)
		}
	})
}

// FuzzMetaReply reads any bytes as a meta reply. What answered one opaque must
// not answer another; error lines carry none.
func FuzzMetaReply(f *testing.F) {
	seedReplies(f, [][]string{
		proto.OpGet: {"VA 3 f5 c20 t60 O7\r\nabc\r\n", "EN O7\r\n", "HD f5 c20 t-1 O7\r\n", "VA 0 f0 c27 t30 O7 Z\r\n\r\n", "VA 4294967296 O7\r\n",
			"VA 1\r\nx\r\n", "EN\r\n", "HD\r\n"},
		proto.OpGetAndTouch: {"VA 3 f4294967295 c18446744073709551615 t60 O7 X W\r\nabc\r\n", "NF  O7 \r\n"},
		proto.OpGetMulti: {"VA 1 f1 c11 t60 O7.0\r\nA\r\nEN O7.1\r\nVA 1 f3 c13 t-1 O7.2\r\nC\r\n", "SERVER_ERROR busy\r\nEN O7.1\r\nEN O7.2\r\n",
			"VA 1 O7.0\r\nA\r\nVA 1 O7.0\r\nA\r\nEN O7.2\r\n", "EN O7.0\r\nEN O7.1\r\nVA 1 O7.2 O7.3\r\nC\r\n", "SERVER_ERROR a\r\nSERVER_ERROR b\r\nSERVER_ERROR c\r\n"},
		proto.OpSet:       {"HD c21 O7\r\n", "EX c0 O7\r\n", "NF c0 O7\r\n", "NS c0 O7\r\n", "SERVER_ERROR object too large for cache\r\n"},
		proto.OpDelete:    {"HD O7\r\n", "NF O7\r\n", "EX O7\r\n"},
		proto.OpTouch:     {"HD O7\r\n", "EN O7\r\n"},
		proto.OpDecrement: {"VA 2 c21 O7\r\n9 \r\n", "NF O7\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
	})
	c := proto.Meta{MaxValue: maxValue}
	fuzzReplies(f, c, func(t *testing.T, req proto.Request, reply string, got outcome) {
		if len(got.hits) > 0 || got.complete() && verified(&req, got.reply.Status) {
			refuseOtherOpaque(t, c, req, reply)
		}
	})
}

// verified tells whether a meta reply without hits carries the opaque.
func verified(req *proto.Request, status proto.Status) bool {
	switch status {
	case proto.StatusOK, proto.StatusMiss, proto.StatusExists, proto.StatusNotStored:
		return req.Op < proto.OpVersion
	}
	return false
}

// FuzzTextReply reads any bytes as the reply to a multi-get of many keys. What
// answered one opaque must not answer another, nor what was a hit for one key be
// one for another.
func FuzzTextReply(f *testing.F) {
	const va, list, end = "VA 1 f3 c13 O7.0\r\nC\r\n", "VALUE a2 5 3 20\r\nabc\r\n", "END\r\nMN\r\n"
	for _, reply := range []string{
		va + list + "VALUE z 5 0 21\r\n\r\n" + end, "EN O7.0\r\n" + list + end, va + "END\r\n" + end, va + "MN\r\n", va + "VALUE b 1 1 1\r\nx\r\n" + end,
		va + "SERVER_ERROR busy\r\nMN\r\n", "SERVER_ERROR busy\r\n" + list + "SERVER_ERROR busy\r\n" + end, "CLIENT_ERROR unauthenticated\r\n",
	} {
		f.Add("a", []byte(reply), uint16(len(reply)/2))
	}
	c := proto.Text{MaxValue: maxValue}
	f.Fuzz(func(t *testing.T, key string, reply []byte, cut uint16) {
		req := request(byte(proto.OpGetMulti), 0, key)
		req.Keys = append(slices.Concat(req.Keys, slices.Repeat([]string{"-"}, 26)), "z")
		if c.Check(&req) != nil {
			return
		}
		got := readEveryWay(t, c, &req, string(reply), cut)
		if got.complete() && got.reply.Status == proto.StatusOK {
			refuseOtherOpaque(t, c, req, string(reply))
		}
		for _, h := range got.hits {
			if h.index > 0 && !strings.Contains(string(reply), req.Keys[h.index]+" ") {
				t.Errorf("reply %q is a hit for %q", reply, req.Keys[h.index])
			}
		}
	})
}

// FuzzBinaryReply reads any bytes as a binary reply. What answered one opaque
// must not answer another.
func FuzzBinaryReply(f *testing.F) {
	const abc = "\x00\x00\x00\x05abc"
	hitA := packet(0x0c, 0, 4, 1, "\x00\x00\x00\x05aabc")
	seedReplies(f, [][]string{
		proto.OpGet:         {packet(0x00, 0, 4, 0, abc), packet(0x00, 1, 0, 0, "Not found"), packet(0x00, 0, 4, 0, abc)[:27]},
		proto.OpGetAndTouch: {packet(0x1d, 0, 4, 0, abc), packet(0x1c, 0, 4, 0, abc[:4])},
		proto.OpGetMulti: {hitA + packet(0x0c, 0, 4, 2, "\x00\x00\x00\x05a2") + packet(0x0c, 1, 0, 1, "c"),
			packet(0x0c, 0x85, 0, 0, "Busy") + packet(0x0c, 1, 0, 0, "Not found") + packet(0x0c, 0x20, 0, 0, "Auth failure."),
			strings.Repeat(hitA, 2)},
		proto.OpSet: {packet(0x01, 0, 0, 0, ""), packet(0x01, 2, 0, 0, "Data exists for key."), packet(0x01, 3, 0, 0, "Too large."),
			packet(0x01, 1, 0, 0, strings.Repeat("x", 3000)), packet(0x01, 1, 5, 3, "abc")},
		proto.OpAdd:       {packet(0x02, 2, 0, 0, "Data exists for key.")},
		proto.OpDelete:    {packet(0x04, 0, 0, 0, "")},
		proto.OpTouch:     {packet(0x1c, 0, 4, 0, abc[:4])},
		proto.OpIncrement: {packet(0x05, 0, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x09"), packet(0x05, 6, 0, 0, "Non-numeric")},
		proto.OpVersion:   {packet(0x0b, 0, 0, 0, "1.6.18")},
		proto.OpStats:     {packet(0x10, 0, 0, 3, "pid1") + packet(0x10, 0, 0, 0, "")},
		proto.OpAuth:      {packet(0x21, 0x20, 0, 0, "Auth failure.")},
	})
	c := proto.Binary{MaxValue: maxValue}
	fuzzReplies(f, c, func(t *testing.T, req proto.Request, reply string, got outcome) {
		if len(got.hits) > 0 || got.complete() {
			refuseOtherOpaque(t, c, req, reply)
		}
	})
}

// fuzzReplies fuzzes replies and the requests that they are read for, and has
// judge look at what came of those that c would send.
func fuzzReplies(f *testing.F, c proto.Codec, judge func(t *testing.T, req proto.Request, reply string, got outcome)) {
	f.Fuzz(func(t *testing.T, op, bits byte, key string, reply []byte, cut uint16) {
		req := request(op, bits, key)
		if c.Check(&req) == nil {
			judge(t, req, string(reply), readEveryWay(t, c, &req, string(reply), cut))
		}
	})
}

// refuseOtherOpaque wants a reply to be none to a request of another opaque.
func refuseOtherOpaque(t *testing.T, c proto.Codec, req proto.Request, reply string) {
	req.Opaque++
	if !read(t, c, &req, reply).failed {
		t.Errorf("reply %q to %s is accepted for another opaque", reply, req.Op)
	}
}

// packet is a binary reply to opaque 7.
func packet(opcode byte, status uint16, extras byte, key uint16, body string) string {
	h := make([]byte, 24, 24+len(body))
	h[0], h[1], h[4], h[15], h[23] = 0x81, opcode, extras, 7, 20
	binary.BigEndian.PutUint16(h[2:], key)
	binary.BigEndian.PutUint16(h[6:], status)
	binary.BigEndian.PutUint32(h[8:], uint32(len(body)))
	return string(h) + body
}

// seedReplies adds replies by operation, plain and with every bit of request.
func seedReplies(f *testing.F, replies [][]string) {
	for op, list := range replies {
		for _, reply := range list {
			f.Add(byte(op), byte(0), "a", []byte(reply), uint16(len(reply)/2))
			f.Add(byte(op), byte(0xff), "a", []byte(reply), uint16(len(reply)-1))
		}
	}
}

// request is one of opaque 7, with fields by the bits.
func request(op, bits byte, key string) proto.Request {
	req := proto.Request{
		Op: proto.Op(op), Key: key, Keys: []string{key, key + "2", "c"}, Opaque: 7,
		NoValue: bits&1 != 0, Create: bits&2 != 0,
	}
	if bits&8 != 0 {
		req.CAS = 20
	}
	return req
}

// hit is a value that a reply delivered.
type hit struct {
	index int
	flags uint32
	cas   uint64
	ttl   int64
	value string
}

// outcome is all that a caller sees of a reply.
type outcome struct {
	hits         []hit
	reply        proto.Reply // exported fields, of a complete reply
	left         string      // what was not consumed
	more, failed bool
}

func (o *outcome) complete() bool { return !o.more && !o.failed }

// readEveryWay reads a reply in one piece, cut in two and byte by byte, which
// must not make a difference.
func readEveryWay(t *testing.T, c proto.Codec, req *proto.Request, reply string, cut uint16) outcome {
	whole := read(t, c, req, reply)
	last := -1
	for _, h := range whole.hits {
		if req.Op != proto.OpGetMulti && len(whole.hits) > 1 || req.Op == proto.OpGetMulti && (h.index <= last || h.index >= len(req.Keys)) {
			t.Errorf("%s, reply %q gives %+v, want each key once and in order", req.Op, reply, whole.hits)
		}
		last = h.index
	}
	at := int(cut) % (len(reply) + 1)
	if got := read(t, c, req, reply[:at], reply[at:]); !reflect.DeepEqual(got, whole) {
		t.Errorf("%s, reply %q cut at %d: got %+v, want %+v", req.Op, reply, at, got, whole)
	}
	if got := read(t, c, req, strings.Split(reply, "")...); len(reply) < 3*proto.MaxHead && !reflect.DeepEqual(got, whole) {
		t.Errorf("%s, reply %q byte by byte: got %+v, want %+v", req.Op, reply, got, whole)
	}
	return whole
}

// read plays the connection's part in reading a reply that comes in chunks.
func read(t *testing.T, c proto.Codec, req *proto.Request, chunks ...string) outcome {
	var out outcome
	var rep proto.Reply
	var buf []byte
	value := false // rep.Size bytes of value are due
	for i, chunk := range chunks {
		buf = append(buf, chunk...)
		for !value || len(buf) >= rep.Size {
			if value {
				out.hits = append(out.hits, hit{rep.Index, rep.Flags, rep.CAS, rep.TTL, string(buf[:rep.Size])})
				buf, value = buf[rep.Size:], false
			}
			n, step, err := c.Parse(buf, req, &rep)
			if err != nil {
				if !errors.Is(err, proto.ErrProtocol) {
					t.Errorf("error %v, want it to be ErrProtocol", err)
				}
				return outcome{failed: true}
			}
			if n < 0 || n > len(buf) || step == proto.StepMore && n == 0 && len(buf) >= proto.MaxHead {
				t.Fatalf("Parse consumed %d of %d bytes with step %d", n, len(buf), step)
			}
			buf = buf[n:]
			if step == proto.StepMore {
				break
			}
			if step == proto.StepDone {
				out.reply = proto.Reply{Status: rep.Status, Number: rep.Number, Line: rep.Line, Stats: rep.Stats}
				out.left = string(buf) + strings.Join(chunks[i+1:], "")
				return out
			}
			if value = true; rep.Size < 0 || rep.Size > maxValue {
				t.Fatalf("a value of %d bytes is asked for, limit %d", rep.Size, maxValue)
			}
		}
	}
	out.more = true
	return out
}
