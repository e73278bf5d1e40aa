package proto

import (
	"strings"
	"testing"
)

var failed = outcome{Failed: true}

func done(rep Reply) outcome { return outcome{Reply: rep} }

func status(s Status) outcome { return done(Reply{Status: s}) }

func refused(s Status, line string) outcome { return done(Reply{Status: s, Line: line}) }

func found(hits ...hit) outcome { return outcome{Hits: hits} }

var (
	get  = Request{Op: OpGet, Key: "a", Opaque: 7}
	gat  = Request{Op: OpGetAndTouch, Key: "a", Exptime: 60, Opaque: 7}
	some = Request{Op: OpGetMulti, Keys: []string{"a", "b", "c"}, Opaque: 7}
	set  = Request{Op: OpSet, Key: "a", Value: []byte("abc"), Flags: 5, Exptime: 60, Opaque: 7}
	swap = Request{Op: OpSet, Key: "a", Value: []byte("abc"), CAS: 20, Opaque: 7}
	add  = Request{Op: OpAdd, Key: "a", Value: []byte("abc"), Opaque: 7}
	del  = Request{Op: OpDelete, Key: "a", Opaque: 7}
	incr = Request{Op: OpIncrement, Key: "a", Delta: 5, Opaque: 7}
	decr = Request{Op: OpDecrement, Key: "a", Delta: 5, Opaque: 7}

	replace = Request{Op: OpReplace, Key: "a", Value: []byte("abc"), Exptime: -1, Opaque: 7}
	app     = Request{Op: OpAppend, Key: "a", Value: []byte("abc"), Flags: 5, Exptime: 60, Opaque: 7}
	prepend = Request{Op: OpPrepend, Key: "a", Value: []byte("abc"), Opaque: 7}
	touch   = Request{Op: OpTouch, Key: "a", Exptime: 60, Opaque: 7}
	version = Request{Op: OpVersion, Opaque: 7}
	stats   = Request{Op: OpStats, Opaque: 7}
	flush   = Request{Op: OpFlushAll, Opaque: 7}
	auth    = Request{Op: OpAuth, Key: "user", Value: []byte("pass"), Opaque: 7}
)

// with returns a copy of req that edit has changed.
func with(req Request, edit func(*Request)) Request {
	edit(&req)
	return req
}

var noValue = func(r *Request) { r.NoValue = true }

func TestClassicGet(t *testing.T) {
	abc := found(hit{0, 5, 20, TTLUnknown, "abc"})
	testWire(t, Classic{MaxValue: 100}, []wireCase{
		{"hit", "gets, so that the CAS comes along", get, "gets a\r\n", "VALUE a 5 3 20\r\nabc\r\nEND\r\n", abc, 0},
		{"miss", "END alone", get, "", "END\r\n", status(StatusMiss), 0},
		{"no value wanted", "it cannot be left out", with(get, noValue), "gets a\r\n", "VALUE a 5 3 20\r\nabc\r\nEND\r\n", abc, 0},
		{"gat", "the exptime comes first", gat, "gats 60 a\r\n", "VALUE a 5 3 20\r\nabc\r\nEND\r\n", abc, 0},
		{"gat miss", "END alone", gat, "", "END\r\n", status(StatusMiss), 0},
		{"empty value", "no bytes, and its end", get, "", "VALUE a 5 0 20\r\n\r\nEND\r\n", found(hit{0, 5, 20, TTLUnknown, ""}), 0},
		{"value like a reply", "lengths count, not lines", get, "", "VALUE a 5 5 20\r\nEND\r\n\r\nEND\r\n", found(hit{0, 5, 20, TTLUnknown, "END\r\n"}), 0},
		{"largest numbers", "32 bits of flags, 64 of CAS", get, "", "VALUE a 4294967295 3 18446744073709551615\r\nabc\r\nEND\r\n", found(hit{0, 1<<32 - 1, 1<<64 - 1, TTLUnknown, "abc"}), 0},
		{"doubled blanks", "old servers", get, "", "VALUE  a  5  3  20 \r\nabc\r\nEND \r\n", abc, 0},
		{"at the limit", "MaxValue itself is fine", get, "", "VALUE a 5 100 20\r\n" + strings.Repeat("v", 100) + "\r\nEND\r\n", found(hit{0, 5, 20, TTLUnknown, strings.Repeat("v", 100)}), 0},
		{"over the limit", "nothing of it is asked for", get, "", "VALUE a 5 101 20\r\n", failed, 0},
		{"4 GB announced", "nothing of it is asked for", get, "", "VALUE a 5 4294967296 20\r\n", failed, 0},
		{"length over 64 bits", "does not wrap around", get, "", "VALUE a 5 18446744073709551619 20\r\n", failed, 0},
		{"negative length", "no number", get, "", "VALUE a 5 -1 20\r\n", failed, 0},
		{"flags over 32 bits", "not what was stored", get, "", "VALUE a 4294967296 3 20\r\n", failed, 0},
		{"flags with a tail", "no number", get, "", "VALUE a 5x 3 20\r\nabc\r\nEND\r\n", failed, 0},
		{"too large", "a store's refusal is any other's of a get", get, "", "SERVER_ERROR object too large for cache\r\n", refused(StatusServerError, "SERVER_ERROR object too large for cache"), 0},
		{"no CAS", "the answer to get, which we do not send", get, "", "VALUE a 5 3\r\nabc\r\nEND\r\n", failed, 0},
		{"another key", "a reply to another request", get, "", "VALUE b 5 3 20\r\nabc\r\nEND\r\n", failed, 0},
		{"longer key", "a reply to another request", get, "", "VALUE aa 5 3 20\r\nabc\r\nEND\r\n", failed, 0},
		{"no key", "no reply to anything", get, "", "VALUE \r\n", failed, 0},
		{"hit twice", "one key has one value", get, "", "VALUE a 5 3 20\r\nabc\r\nVALUE a 5 3 20\r\nabc\r\nEND\r\n", failed, 0},
		{"value too long", "its end is not where it should be", get, "", "VALUE a 5 2 20\r\nabc\r\nEND\r\n", failed, 0},
		{"no END", "something else", get, "", "VALUE a 5 3 20\r\nabc\r\nSTORED\r\n", failed, 0},
		{"error behind a value", "where it ends is unknown", get, "", "VALUE a 5 3 20\r\nabc\r\nSERVER_ERROR busy\r\n", failed, 0},
		{"another operation", "STORED answers no get", get, "", "STORED\r\n", failed, 0},
		{"incomplete", "waits", get, "", "VALUE a 5 3 20\r\nabc\r\nEND", outcome{Hits: abc.Hits, More: true}, 0},
	})
}

func TestClassicGetMulti(t *testing.T) {
	a, b, c := hit{0, 1, 11, TTLUnknown, "A"}, hit{1, 2, 12, TTLUnknown, "B"}, hit{2, 3, 13, TTLUnknown, "C"}
	const va, vb, vc = "VALUE a 1 1 11\r\nA\r\n", "VALUE b 2 1 12\r\nB\r\n", "VALUE c 3 1 13\r\nC\r\n"
	busy := refused(StatusServerError, "SERVER_ERROR busy")
	testWire(t, Classic{}, []wireCase{
		{"all", "in the order of the keys", some, "gets a b c\r\n", va + vb + vc + "END\r\n", found(a, b, c), 0},
		{"some", "misses are passed over", some, "", vb + "END\r\n", found(b), 0},
		{"none", "no error", some, "", "END\r\n", found(), 0},
		{"MN", "a reply to another request", some, "", "MN\r\n", failed, 0},
		{"out of order", "a reply to another request", some, "", vb + va + "END\r\n", failed, 0},
		{"hit twice", "a duplicated reply", some, "", va + va + "END\r\n", failed, 0},
		{"another key", "a reply to another request", some, "", "VALUE d 1 1 11\r\nA\r\n", failed, 0},
		{"key of all three", "one key, not a line of them", some, "", "VALUE a b c 1 1 11\r\nA\r\n", failed, 0},
		{"same key twice", "asked for twice, told twice", with(some, func(r *Request) { r.Keys = []string{"a", "a"} }), "gets a a\r\n",
			va + va + "END\r\n", found(a, hit{1, 1, 11, TTLUnknown, "A"}), 0},
		{"refused", "a plain server ends with the error", some, "", "SERVER_ERROR busy\r\n", busy, 0},
		{"refused inside", "a proxy goes on, a plain server does not", some, "", va + "SERVER_ERROR busy\r\n", failed, 0},
		{"unauthenticated", "nothing more comes", some, "", "CLIENT_ERROR unauthenticated\r\n", refused(StatusAuth, "CLIENT_ERROR unauthenticated"), 0},
	})
}

func TestClassicStore(t *testing.T) {
	swapLine := "cas a 0 0 3 20\r\nabc\r\n"
	testWire(t, Classic{}, []wireCase{
		{"set", "stored", set, "set a 5 60 3\r\nabc\r\n", "STORED\r\n", status(StatusOK), 0},
		{"set dropped", "proxies say so", set, "", "NOT_STORED\r\n", status(StatusNotStored), 0},
		{"set of nothing", "an empty value has a tail", with(set, func(r *Request) { r.Value = nil }), "set a 5 60 0\r\n\r\n", "STORED\r\n", status(StatusOK), 0},
		{"set, EXISTS", "answers a cas", set, "", "EXISTS\r\n", failed, 0},
		{"set, NOT_FOUND", "answers a cas", set, "", "NOT_FOUND\r\n", failed, 0},
		{"set, END", "answers a get", set, "", "END\r\n", failed, 0},
		{"set, VALUE", "answers a get", set, "", "VALUE a 5 3 20\r\n", failed, 0},
		{"set too large", "the server has read the value", set, "", "SERVER_ERROR object too large for cache\r\n", refused(StatusTooLarge, "SERVER_ERROR object too large for cache"), 0},
		{"set without memory", "any other refusal", set, "", "SERVER_ERROR out of memory storing object\r\n", refused(StatusServerError, "SERVER_ERROR out of memory storing object"), 0},
		{"set misunderstood", "the value may run as commands", set, "", "CLIENT_ERROR bad data chunk\r\n", failed, 0},
		{"set, ERROR", "the value may run as commands", set, "", "ERROR\r\n", failed, 0},
		{"swap", "the version was the one", swap, swapLine, "STORED\r\n", status(StatusOK), 0},
		{"swap conflict", "another version", swap, "", "EXISTS\r\n", status(StatusExists), 0},
		{"swap miss", "vanished", swap, "", "NOT_FOUND\r\n", status(StatusMiss), 0},
		{"add", "stored", add, "add a 0 0 3\r\nabc\r\n", "STORED\r\n", status(StatusOK), 0},
		{"add again", "the key is taken", add, "", "NOT_STORED\r\n", status(StatusNotStored), 0},
		{"replace", "negative exptimes have a sign", replace, "replace a 0 -1 3\r\nabc\r\n", "STORED\r\n", status(StatusOK), 0},
		{"replace miss", "nothing to replace", replace, "", "NOT_STORED\r\n", status(StatusNotStored), 0},
		{"append", "flags and exptime are ignored by the server", app, "append a 5 60 3\r\nabc\r\n", "STORED\r\n", status(StatusOK), 0},
		{"prepend miss", "nothing there", prepend, "prepend a 0 0 3\r\nabc\r\n", "NOT_STORED\r\n", status(StatusNotStored), 0},
	})
}

func TestClassicLines(t *testing.T) {
	const nan = "CLIENT_ERROR cannot increment or decrement non-numeric value"
	testWire(t, Classic{}, []wireCase{
		{"delete", "done", del, "delete a\r\n", "DELETED\r\n", status(StatusOK), 0},
		{"delete miss", "nothing there", del, "", "NOT_FOUND\r\n", status(StatusMiss), 0},
		{"delete, TOUCHED", "answers a touch", del, "", "TOUCHED\r\n", failed, 0},
		{"touch", "done", touch, "touch a 60\r\n", "TOUCHED\r\n", status(StatusOK), 0},
		{"touch miss", "nothing there", touch, "", "NOT_FOUND\r\n", status(StatusMiss), 0},
		{"incr", "the new number", incr, "incr a 5\r\n", "18446744073709551615\r\n", done(Reply{Number: 1<<64 - 1}), 0},
		{"decr", "trailing blanks do not count", decr, "decr a 5\r\n", "6 \r\n", done(Reply{Number: 6}), 0},
		{"incr miss", "nothing there", incr, "", "NOT_FOUND\r\n", status(StatusMiss), 0},
		{"incr text", "the stream is fine", incr, "", nan + "\r\n", refused(StatusNotNumber, nan), 0},
		{"incr delta", "the stream is fine", incr, "", "CLIENT_ERROR invalid numeric delta argument\r\n", refused(StatusNotNumber, "CLIENT_ERROR invalid numeric delta argument"), 0},
		{"delete text", "answers incr", del, "", nan + "\r\n", failed, 0},
		{"incr, 65 bits", "no counter", incr, "", "18446744073709551616\r\n", failed, 0},
		{"incr, two numbers", "no counter", incr, "", "5 6\r\n", failed, 0},
		{"incr, empty line", "versions 1.6.40 to 1.6.45 leave one behind a bad key", incr, "", "\r\n", failed, 0},
		{"version", "as it stands", version, "version\r\n", "VERSION 1.6.18\r\n", done(Reply{Line: "1.6.18"}), 0},
		{"version refused", "before authentication", version, "", "CLIENT_ERROR unauthenticated\r\n", refused(StatusAuth, "CLIENT_ERROR unauthenticated"), 0},
		{"too many connections", "unsolicited, and the server closes", version, "", "ERROR Too many open connections\r\n", failed, 0},
		{"flush", "done", flush, "flush_all\r\n", "OK\r\n", status(StatusOK), 0},
		{"auth", "the exptime hides it where it is stored", auth, "set auth 0 -1 9\r\nuser pass\r\n", "STORED\r\n", status(StatusOK), 0},
		{"auth refused", "the connection stays open", auth, "", "CLIENT_ERROR authentication failure\r\n", refused(StatusAuth, "CLIENT_ERROR authentication failure"), 0},
		{"error with a colon", "servers that do not know shutdown", del, "", "SERVER_ERROR: busy\r\n", refused(StatusServerError, "SERVER_ERROR: busy"), 0},
		{"error of another word", "not an error line", del, "", "SERVER_ERRORS busy\r\n", failed, 0},
		{"LF alone", "no end of a line", del, "", "DELETED \n", failed, 0},
		{"binary", "no line at all", del, "", "\x81\x00\n", failed, 0},
	})
}

func TestClassicStats(t *testing.T) {
	items := with(stats, func(r *Request) { r.Key = "items" })
	unknown := "CLIENT_ERROR usage: stats detail on|off|dump"
	testWire(t, Classic{}, []wireCase{
		{"some", "in order", stats, "stats\r\n", "STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n", done(Reply{Stats: []Stat{{"pid", "1"}, {"version", "1.6.18"}}}), 0},
		{"section", "none", items, "stats items\r\n", "END\r\n", done(Reply{}), 0},
		{"blanks", "are part of a value", stats, "", "STAT a b c\r\nSTAT d\r\nEND\r\n", done(Reply{Stats: []Stat{{"a", "b c"}, {"d", ""}}}), 0},
		{"reset", "no list", with(stats, func(r *Request) { r.Key = "reset" }), "stats reset\r\n", "RESET\r\n", done(Reply{}), 0},
		{"unknown section", "the user's mistake", items, "", "ERROR\r\n", refused(StatusServerError, "ERROR"), 0},
		{"bad section", "the user's mistake", items, "", unknown + "\r\n", refused(StatusServerError, unknown), 0},
		{"something else", "answers a get", stats, "", "VALUE a 0 0\r\n", failed, 0},
		{"error in the list", "its end is unknown", stats, "", "STAT pid 1\r\nSERVER_ERROR busy\r\n", failed, 0},
	})
}

// TestStatsLimit: a server that never ends its list does not fill the memory.
func TestStatsLimit(t *testing.T) {
	line := []byte("STAT a " + strings.Repeat("b", 1000) + "\r\n")
	var rep Reply
	for n := len(line); n <= maxStats; n += len(line) {
		if _, _, err := (Classic{}).Parse(line, &stats, &rep); err != nil {
			t.Fatalf("after %d bytes: %v, want none up to %d", n, err, maxStats)
		}
	}
	if _, _, err := (Classic{}).Parse(line, &stats, &rep); err == nil {
		t.Errorf("no error after %d bytes, limit %d", rep.next, maxStats)
	}
}
