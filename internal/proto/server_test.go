package proto

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed99545744/msm/internal/memcached"
)

// codecs are the protocols that every behaviour is tested over.
var codecs = []struct {
	name  string
	codec Codec
}{
	{"Classic", Classic{}},
	{"Meta", Meta{}},
	{"Text", Text{}},
	{"Binary", Binary{}},
}

// exchange sends req to a server and reads its answer.
func exchange(t *testing.T, nc net.Conn, c Codec, req *Request) outcome {
	t.Helper()
	if err := c.Check(req); err != nil {
		t.Fatalf("Check: %v, want none", err)
	}
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Write([]byte(onWire(c, req))); err != nil {
		t.Fatal(err)
	}
	var reply []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatalf("after %q: %v", reply, err)
		}
		reply = append(reply, buf[:n]...)
		if out := read(t, c, req, string(reply)); !out.More {
			if out.Failed || out.Left != "" {
				t.Fatalf("reply %.200q: got %+v, want it read whole", reply, out)
			}
			return out
		}
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// Which CAS a step of the conversation sends.
const (
	casNone    = iota
	casCurrent // that of the last value read
	casOther
)

// conversation is one story told to a server over each protocol.
var conversation = []struct {
	name   string
	reason string
	req    Request
	cas    int
	want   outcome
}{
	{"miss", "nothing is there yet", Request{Op: OpGet, Key: "a"}, casNone, done(Reply{Status: StatusMiss})},
	{"touch miss", "nothing to touch", Request{Op: OpTouch, Key: "a", Exptime: 10}, casNone, done(Reply{Status: StatusMiss})},
	{"gat miss", "nothing to touch", Request{Op: OpGetAndTouch, Key: "a", Exptime: 10}, casNone, done(Reply{Status: StatusMiss})},
	{"delete miss", "nothing to delete", Request{Op: OpDelete, Key: "a"}, casNone, done(Reply{Status: StatusMiss})},
	{"incr miss", "counters are not made up", Request{Op: OpIncrement, Key: "a", Delta: 1}, casNone, done(Reply{Status: StatusMiss})},
	{"replace miss", "nothing to replace", Request{Op: OpReplace, Key: "a", Value: []byte("x")}, casNone, done(Reply{Status: StatusNotStored})},
	{"append miss", "nothing to append to", Request{Op: OpAppend, Key: "a", Value: []byte("x")}, casNone, done(Reply{Status: StatusNotStored})},
	{"prepend miss", "nothing to prepend to", Request{Op: OpPrepend, Key: "a", Value: []byte("x")}, casNone, done(Reply{Status: StatusNotStored})},
	{"swap miss", "vanished, which is no conflict", Request{Op: OpSet, Key: "a", Value: []byte("x")}, casOther, done(Reply{Status: StatusMiss})},
	{"add", "the key is free", Request{Op: OpAdd, Key: "a", Value: []byte("b"), Flags: 7}, casNone, done(Reply{})},
	{"add again", "the key is taken", Request{Op: OpAdd, Key: "a", Value: []byte("x")}, casNone, done(Reply{Status: StatusNotStored})},
	{"append", "keeps the flags", Request{Op: OpAppend, Key: "a", Value: []byte("c"), Flags: 1}, casNone, done(Reply{})},
	{"prepend", "keeps the flags", Request{Op: OpPrepend, Key: "a", Value: []byte("a"), Flags: 1}, casNone, done(Reply{})},
	{"get", "all three parts", Request{Op: OpGet, Key: "a"}, casNone, found(hit{Flags: 7, Value: "abc", TTL: TTLNone})},
	{"replace", "largest flags", Request{Op: OpReplace, Key: "a", Value: []byte("\r\nEND\r\n"), Flags: 1<<32 - 1, Exptime: 1000}, casNone, done(Reply{})},
	{"gat", "TTL from before the touch", Request{Op: OpGetAndTouch, Key: "a", Exptime: 2000}, casNone, found(hit{Flags: 1<<32 - 1, Value: "\r\nEND\r\n", TTL: 1000})},
	{"get touched", "TTL of the touch", Request{Op: OpGetAndTouch, Key: "a", Exptime: 2000}, casNone, found(hit{Flags: 1<<32 - 1, Value: "\r\nEND\r\n", TTL: 2000})},
	{"touch", "sets it", Request{Op: OpTouch, Key: "a", Exptime: 3000}, casNone, done(Reply{})},
	{"get touched again", "TTL of the touch", Request{Op: OpGetAndTouch, Key: "a", Exptime: 3000}, casNone, found(hit{Flags: 1<<32 - 1, Value: "\r\nEND\r\n", TTL: 3000})},
	{"swap conflict", "another version", Request{Op: OpSet, Key: "a", Value: []byte("x")}, casOther, done(Reply{Status: StatusExists})},
	{"swap", "this version", Request{Op: OpSet, Key: "a", Value: []byte("")}, casCurrent, done(Reply{})},
	{"get empty", "a value of no bytes is one", Request{Op: OpGet, Key: "a"}, casNone, found(hit{TTL: TTLUnknown})},
	{"delete conflict", "another version", Request{Op: OpDelete, Key: "a"}, casOther, done(Reply{Status: StatusExists})},
	{"delete version", "this version", Request{Op: OpDelete, Key: "a"}, casCurrent, done(Reply{})},
	{"set a", "for the multi-get", Request{Op: OpSet, Key: "a", Value: []byte("1")}, casNone, done(Reply{})},
	{"set ü", "UTF-8 is fine in keys", Request{Op: OpSet, Key: "ü", Value: []byte("2"), Flags: 2}, casNone, done(Reply{})},
	{"multi-get", "misses between hits, one key twice", Request{Op: OpGetMulti, Keys: []string{"-", "a", "-", "ü", "a", "-"}}, casNone,
		found(hit{Index: 1, Value: "1", TTL: TTLNone}, hit{Index: 3, Flags: 2, Value: "2", TTL: TTLNone}, hit{Index: 4, Value: "1", TTL: TTLNone})},
	{"multi-get of many", "misses between hits, and a hit at the end", Request{Op: OpGetMulti, Keys: many("-", "a", "-", "ü", "a")}, casNone,
		found(hit{Index: 1, Value: "1", TTL: TTLNone}, hit{Index: 3, Flags: 2, Value: "2", TTL: TTLNone}, hit{Index: maxMetaKeys, Value: "1", TTL: TTLNone})},
	{"no hit of many", "misses only", Request{Op: OpGetMulti, Keys: many("-")}, casNone, done(Reply{})},
	{"incr", "counts", Request{Op: OpIncrement, Key: "a", Delta: 41}, casNone, done(Reply{Number: 42})},
	{"decr", "stops at 0", Request{Op: OpDecrement, Key: "a", Delta: 1<<64 - 1}, casNone, done(Reply{})},
	{"incr wraps", "at 64 bits", Request{Op: OpIncrement, Key: "a", Delta: 1<<64 - 1}, casNone, done(Reply{Number: 1<<64 - 1})},
	{"create counter", "the initial value, not the delta", Request{Op: OpDecrement, Key: "n", Delta: 5, Create: true, Initial: 9, Exptime: 100}, casNone, done(Reply{Number: 9})},
	{"created counter", "counts", Request{Op: OpDecrement, Key: "n", Delta: 5, Create: true, Initial: 9}, casNone, done(Reply{Number: 4})},
	{"set text", "no number", Request{Op: OpSet, Key: "a", Value: []byte("x")}, casNone, done(Reply{})},
	{"incr text", "no number", Request{Op: OpIncrement, Key: "a", Delta: 1}, casNone, done(Reply{Status: StatusNotNumber})},
	{"too large", "over -I, and the connection lives", Request{Op: OpSet, Key: "l", Value: make([]byte, 1<<20)}, casNone, done(Reply{Status: StatusTooLarge})},
	{"past", "negative expires at once", Request{Op: OpSet, Key: "p", Value: []byte("x"), Exptime: -1}, casNone, done(Reply{})},
	{"past gone", "see before", Request{Op: OpGet, Key: "p"}, casNone, done(Reply{Status: StatusMiss})},
	{"touch past", "negative expires at once", Request{Op: OpTouch, Key: "a", Exptime: -5}, casNone, done(Reply{})},
	{"touched past gone", "see before", Request{Op: OpGet, Key: "a"}, casNone, done(Reply{Status: StatusMiss})},
	{"stats sizes", "one line", Request{Op: OpStats, Key: "sizes"}, casNone, done(Reply{Stats: []Stat{{"sizes_status", "disabled"}}})},
	{"stats reset", "no line", Request{Op: OpStats, Key: "reset"}, casNone, done(Reply{})},
	{"stats unknown", "the user's mistake does not cost the connection", Request{Op: OpStats, Key: "nonsense"}, casNone, done(Reply{Status: StatusServerError})},
	{"set noreply", "a key like any other", Request{Op: OpSet, Key: "noreply", Value: []byte("x")}, casNone, done(Reply{})},
	{"delete noreply", "not the option, even at the end of the line", Request{Op: OpDelete, Key: "noreply"}, casNone, done(Reply{})},
	{"flush", "answers", Request{Op: OpFlushAll}, casNone, done(Reply{})},
	{"flushed", "see before", Request{Op: OpGet, Key: "ü"}, casNone, done(Reply{Status: StatusMiss})},
}

// TestServer holds a conversation with the installed memcached.
func TestServer(t *testing.T) {
	addr := memcached.Start(t).Addr()
	for _, proto := range codecs {
		t.Run(proto.name, func(t *testing.T) {
			nc := dial(t, addr)
			meta := proto.name == "Meta" || proto.name == "Text"
			exchange(t, nc, proto.codec, &Request{Op: OpFlushAll, Opaque: 1})
			cas := uint64(0)
			for i, step := range conversation {
				step.req.Opaque = uint32(i + 1)
				step.req.CAS = []uint64{0, cas, cas + 1000}[step.cas]
				if err := proto.codec.Check(&step.req); err == ErrUnsupported {
					continue
				}
				got := exchange(t, nc, proto.codec, &step.req)
				for _, h := range got.Hits {
					if cas = h.CAS; cas == 0 {
						t.Errorf("%s: no CAS", step.name)
					}
				}
				diff := cmp.Diff(step.want, got, sameOutcome, cmpopts.IgnoreFields(hit{}, "CAS"),
					cmpopts.IgnoreFields(Reply{}, "Line"), sameTTL(meta))
				if diff != "" {
					t.Errorf("%s (%s) (-want +got):\n%s", step.name, step.reason, diff)
				}
			}
		})
	}
}

// sameTTL allows a second for the test to run; only meta tells the TTL.
func sameTTL(meta bool) cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool { return strings.HasSuffix(p.String(), "TTL") },
		cmp.Comparer(func(want, got int64) bool {
			if got > want {
				want, got = got, want
			}
			return meta && want-got <= 1 || !meta && got == TTLUnknown
		}))
}

// TestServerVersion reads what servers say of themselves.
func TestServerVersion(t *testing.T) {
	addr := memcached.Start(t).Addr()
	for _, proto := range codecs {
		got := exchange(t, dial(t, addr), proto.codec, &Request{Op: OpVersion, Opaque: 1})
		if !strings.HasPrefix(got.Reply.Line, "1.") {
			t.Errorf("%s: version %q, want 1.x", proto.name, got.Reply.Line)
		}
		got = exchange(t, dial(t, addr), proto.codec, &Request{Op: OpStats, Opaque: 1})
		if len(got.Reply.Stats) < 10 || got.Reply.Stats[0].Name != "pid" {
			t.Errorf("%s: statistics %v, want them to begin with the pid", proto.name, got.Reply.Stats)
		}
	}
}

// TestServerAuth logs in to a server that wants it, and shows that one which
// does not keeps nothing of the credentials.
func TestServerAuth(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("user:pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := Request{Op: OpAuth, Key: "user", Value: []byte("pass"), Opaque: 1}
	wrong := Request{Op: OpAuth, Key: "user", Value: []byte("word"), Opaque: 1}
	version := Request{Op: OpVersion, Opaque: 1}
	nc := dial(t, memcached.Start(t, "-Y", file).Addr())
	for i, step := range []struct {
		req  *Request
		want Status
	}{{&version, StatusAuth}, {&wrong, StatusAuth}, {&login, StatusOK}, {&version, StatusOK}} {
		if got := exchange(t, nc, Meta{}, step.req); got.Reply.Status != step.want {
			t.Errorf("step %d: status %d (%s), want %d", i, got.Reply.Status, got.Reply.Line, step.want)
		}
	}
	nc = dial(t, memcached.Start(t).Addr())
	exchange(t, nc, Meta{}, &login)
	if got := exchange(t, nc, Classic{}, &Request{Op: OpGet, Key: "auth"}); got.Reply.Status != StatusMiss {
		t.Errorf("credentials as an item: %+v, want a miss", got)
	}
}
