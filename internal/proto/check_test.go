package proto

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestCheckKeys(t *testing.T) {
	for _, tc := range []struct {
		name, key string
		want      error
	}{
		{"one byte", "a", nil},
		{"250 bytes", strings.Repeat("k", 250), nil},
		{"UTF-8", "schlüssel", nil},
		{"all other bytes", "!~\x80\xff", nil},
		{"empty", "", ErrKey},
		{"251 bytes", strings.Repeat("k", 251), ErrKey},
		{"blank", "a b", ErrKey},
		{"line feed", "a\nflush_all", ErrKey},
		{"carriage return", "a\r", ErrKey},
		{"NUL", "a\x00", ErrKey},
		{"tab", "\ta", ErrKey},
		{"delete", "a\x7f", ErrKey},
	} {
		for _, p := range codecs {
			for op := OpGet; op <= OpDecrement; op++ {
				req := Request{Op: op, Key: tc.key, Keys: []string{"a", tc.key, "b"}}
				if err := p.codec.Check(&req); err != tc.want {
					t.Errorf("%s: %s over %s: %v, want %v", tc.name, op, p.name, err, tc.want)
				}
			}
		}
	}
}

func TestCheckFields(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reason string
		req    Request
		ok     bool
	}{
		{"largest exptime", "the last date of 32 bits", Request{Op: OpSet, Key: "a", Exptime: math.MaxInt32}, true},
		{"exptime of 32 bits", "servers take it for negative", Request{Op: OpSet, Key: "a", Exptime: math.MaxInt32 + 1}, false},
		{"exptime of 33 bits", "servers take it for 1 second", Request{Op: OpTouch, Key: "a", Exptime: 1<<32 + 1}, false},
		{"negative exptime of 33 bits", "servers take it for positive", Request{Op: OpGetAndTouch, Key: "a", Exptime: math.MinInt32 - 1}, false},
		{"value over 1 GiB", "no server takes it, and some read on in it", Request{Op: OpSet, Key: "a", Value: make([]byte, 1<<30+1)}, false},
		{"no keys", "a line of no keys is an error that costs the connection", Request{Op: OpGetMulti}, false},
		{"stats of everything", "the section may be empty", Request{Op: OpStats}, true},
		{"stats of two words", "a section is one word", Request{Op: OpStats, Key: "detail on"}, false},
		{"auth", "as it should be", Request{Op: OpAuth, Key: "u", Value: []byte("p")}, true},
		{"auth, blank in the name", "the password begins behind the first", Request{Op: OpAuth, Key: "u v", Value: []byte("p")}, false},
		{"auth, NUL in the password", "SASL splits there", Request{Op: OpAuth, Key: "u", Value: []byte("p\x00q")}, false},
		{"auth, long password", "servers have limits", Request{Op: OpAuth, Key: "u", Value: make([]byte, 1025)}, false},
		{"no operation", "a zero Request", Request{Key: "a"}, false},
		{"unknown operation", "beyond the last", Request{Op: OpAuth + 1, Key: "a"}, false},
	} {
		for _, p := range codecs {
			if err := p.codec.Check(&tc.req); (err == nil) != tc.ok {
				t.Errorf("%s (%s) over %s: %v, want ok %t", tc.name, tc.reason, p.name, err, tc.ok)
			}
		}
	}
}

func TestCheckUnsupported(t *testing.T) {
	for _, tc := range []struct {
		name string
		req  Request
		want map[string]error
	}{
		{"delete by CAS", Request{Op: OpDelete, Key: "a", CAS: 1}, map[string]error{"Classic": ErrUnsupported}},
		{"create a counter", Request{Op: OpIncrement, Key: "a", Create: true}, map[string]error{"Classic": ErrUnsupported}},
		{"create a counter down", Request{Op: OpDecrement, Key: "a", Create: true}, map[string]error{"Classic": ErrUnsupported}},
		{"swap", Request{Op: OpSet, Key: "a", CAS: 1}, nil},
	} {
		for _, p := range codecs {
			if err := p.codec.Check(&tc.req); !errors.Is(err, tc.want[p.name]) {
				t.Errorf("%s over %s: %v, want %v", tc.name, p.name, err, tc.want[p.name])
			}
		}
	}
}

// TestHead: what fills MaxHead without making sense is refused, never waited
// for, and a request that is checked stays far below what servers read as one
// line.
func TestHead(t *testing.T) {
	junk := []byte(strings.Repeat("x", MaxHead))
	key := strings.Repeat("k", MaxKey)
	for _, p := range codecs {
		for op := OpGet; op <= OpAuth; op++ {
			req := Request{Op: op, Key: key, Keys: []string{key}, Value: []byte("v"), Opaque: math.MaxUint32, CAS: math.MaxUint64,
				Flags: math.MaxUint32, Exptime: math.MinInt32, Delta: math.MaxUint64, Initial: math.MaxUint64, Create: true}
			if _, _, err := p.codec.Parse(junk, &req, new(Reply)); !errors.Is(err, ErrProtocol) {
				t.Errorf("%s over %s: junk gives %v, want ErrProtocol", op, p.name, err)
			}
			if got := len(p.codec.AppendRequest(nil, &req)); got >= 500 && op != OpAuth {
				t.Errorf("%s over %s: %d bytes, want less than the 500 of a proxy's line", op, p.name, got)
			}
		}
	}
}

// TestErrorsAreDiscreet: error texts end up in logs, where keys and values,
// even those of others, must not.
func TestErrorsAreDiscreet(t *testing.T) {
	const secret = "s3cr3t"
	for _, p := range codecs {
		for op := OpGet; op <= OpAuth; op++ {
			req := Request{Op: op, Key: secret, Keys: []string{secret}, Value: []byte(secret), Opaque: 7}
			for _, reply := range []string{
				"VALUE " + secret + "2 0 6 1\r\n", "VALUE " + secret + " x\r\n", secret + "\r\n", "ERROR " + secret + "\r\n",
				"CLIENT_ERROR " + secret + "\r\n", "VA 6 O9\r\n" + secret + "\r\n", "VA " + secret + "\r\n", "HD O" + secret + "\r\n",
				packet(0, reply{opcode: opcodeGetK, opaque: 7, extras: five, key: secret + "2", value: secret}),
				packet(4, reply{opcode: opcode(&req), opaque: 7, value: secret}),
			} {
				_, _, err := p.codec.Parse([]byte(reply), &req, new(Reply))
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("%s over %s: the error of %q says it: %v", op, p.name, reply, err)
				}
			}
		}
	}
}
