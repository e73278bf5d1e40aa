package proto

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// hit is a value that a reply delivered.
type hit struct {
	Index int
	Flags uint32
	CAS   uint64
	TTL   int64
	Value string
}

// outcome is all that a caller sees of a reply.
type outcome struct {
	Hits   []hit
	Reply  Reply
	Left   string // what Parse did not consume
	More   bool   // the reply is not complete
	Failed bool   // ErrProtocol
}

// read plays the connection's part: it hands Parse the chunks as they come and
// takes the values out between.
func read(t testing.TB, c Codec, req *Request, chunks ...string) (out outcome) {
	t.Helper()
	var rep Reply
	var buf []byte
	value := false // rep.Size bytes of value are due
	for i, chunk := range chunks {
		buf = append(buf, chunk...)
		for {
			if value && len(buf) < rep.Size {
				break
			}
			if value {
				out.Hits = append(out.Hits, hit{rep.Index, rep.Flags, rep.CAS, rep.TTL, string(buf[:rep.Size])})
				buf = buf[rep.Size:]
			}
			n, step, err := c.Parse(buf, req, &rep)
			if err != nil {
				if !errors.Is(err, ErrProtocol) {
					t.Errorf("error %v, want it to be ErrProtocol", err)
				}
				return outcome{Failed: true}
			}
			if n < 0 || n > len(buf) || step == StepMore && n == 0 && len(buf) >= MaxHead {
				t.Fatalf("Parse consumed %d of %d bytes with step %d", n, len(buf), step)
			}
			buf = buf[n:]
			if step == StepMore {
				value = false
				break
			}
			if step == StepDone {
				out.Reply, out.Left = rep, string(buf)+strings.Join(chunks[i+1:], "")
				return out
			}
			value = true
		}
	}
	out.More = true
	return out
}

// sameOutcome compares what callers may look at: the rest of a Reply is the
// codec's own, or belongs to the last value.
var sameOutcome = cmp.Options{
	cmpopts.IgnoreUnexported(Reply{}),
	cmpopts.IgnoreFields(Reply{}, "Size", "Index", "Flags", "CAS", "TTL"),
}

// wireCase is one exchange, as a real server was seen to have it unless the
// reason says otherwise.
type wireCase struct {
	name   string
	reason string
	req    Request
	wire   string // the request with its value and tail; "" where another case shows it
	reply  string
	want   outcome
	cas    uint64 // of the reply to a store, a delete or a counter
}

// onWire is req as the connection sends it.
func onWire(c Codec, req *Request) string {
	out := string(c.AppendRequest(nil, req))
	if req.HasValue() {
		out += string(req.Value) + c.Tail()
	}
	return out
}

// testWire runs cases, each in one piece, with another reply behind it, cut in
// two at every place, and byte by byte.
func testWire(t *testing.T, c Codec, cases []wireCase) {
	const next = "\x81next"
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.reason == "" {
				t.Fatal("a case needs a reason")
			}
			if err := c.Check(&tc.req); err != nil {
				t.Fatalf("Check: %v, want none", err)
			}
			if got := onWire(c, &tc.req); tc.wire != "" && got != tc.wire {
				t.Errorf("request %q, want %q", got, tc.wire)
			}
			got := read(t, c, &tc.req, tc.reply)
			if diff := cmp.Diff(tc.want, got, sameOutcome); diff != "" {
				t.Errorf("reply %q (-want +got):\n%s", tc.reply, diff)
			}
			if len(got.Hits) == 0 && got.Reply.CAS != tc.cas {
				t.Errorf("CAS %d, want %d", got.Reply.CAS, tc.cas)
			}
			testSplits(t, c, &tc.req, tc.reply, got)
			if got.Failed || got.More {
				return
			}
			got.Left += next
			if diff := cmp.Diff(got, read(t, c, &tc.req, tc.reply+next), sameOutcome); diff != "" {
				t.Errorf("with another reply behind it (-want +got):\n%s", diff)
			}
		})
	}
}

// testSplits holds every way of cutting reply to what it gave in one piece.
func testSplits(t testing.TB, c Codec, req *Request, reply string, want outcome) {
	t.Helper()
	for i := 1; i < len(reply); i++ {
		if diff := cmp.Diff(want, read(t, c, req, reply[:i], reply[i:]), sameOutcome); diff != "" {
			t.Fatalf("reply %q cut at %d (-whole +cut):\n%s", reply, i, diff)
		}
	}
	if diff := cmp.Diff(want, read(t, c, req, strings.Split(reply, "")...), sameOutcome); diff != "" {
		t.Fatalf("reply %q byte by byte (-whole +cut):\n%s", reply, diff)
	}
}
