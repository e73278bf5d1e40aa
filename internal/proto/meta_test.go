package proto

import (
	"strings"
	"testing"
)

func TestMetaGet(t *testing.T) {
	head, gatHead := with(get, noValue), with(gat, noValue)
	abc := found(hit{0, 5, 20, 60, "abc"})
	testWire(t, Meta{MaxValue: 100}, []wireCase{
		{"hit", "flags and CAS in one reply", get, "mg a v f c O7\r\n", "VA 3 f5 c20 O7\r\nabc\r\n", found(hit{0, 5, 20, TTLUnknown, "abc"}), 0},
		{"TTL", "nobody asked for it", get, "", "VA 3 f5 c20 t60 O7\r\nabc\r\n", abc, 0},
		{"never expires", "t-1", get, "", "VA 3 f5 c20 t-1 O7\r\nabc\r\n", found(hit{0, 5, 20, TTLNone, "abc"}), 0},
		{"miss", "carries the opaque from 1.6.18 on", get, "", "EN O7\r\n", status(StatusMiss), 0},
		{"miss with key", "nobody asked for it", get, "", "EN ka O7\r\n", status(StatusMiss), 0},
		{"empty value", "no placeholder without a mark", get, "", "VA 0 f5 c20 t60 O7\r\n\r\n", found(hit{0, 5, 20, 60, ""}), 0},
		{"gat", "t before T: what was left before the touch", gat, "mg a v f c t T60 O7\r\n", "VA 3 f5 c20 t60 O7\r\nabc\r\n", abc, 0},
		{"gat miss", "nothing there", gat, "", "EN O7\r\n", status(StatusMiss), 0},
		{"no value", "HD instead of VA", head, "mg a f c t O7\r\n", "HD f5 c20 t60 O7\r\n", done(Reply{}), 20},
		{"gat, no value", "HD instead of VA", gatHead, "mg a f c t T60 O7\r\n", "HD f5 c20 t60 O7\r\n", done(Reply{}), 20},
		{"value unasked for", "answers another request", head, "", "VA 3 f5 c20 t60 O7\r\nabc\r\n", failed, 0},
		{"value missing", "answers another request", get, "", "HD f5 c20 t60 O7\r\n", failed, 0},
		{"order of flags", "they are a set", get, "", "VA 3 O7 t60 c20 f5\r\nabc\r\n", abc, 0},
		{"doubled blanks", "old servers", get, "", "VA  3  f5 c20  t60 O7 \r\nabc\r\n", abc, 0},
		{"unknown flags", "of servers to come", get, "", "VA 3 f5 c20 t60 O7 s3 h1 ?\r\nabc\r\n", abc, 0},
		{"stale", "its value is there all the same", get, "", "VA 3 f5 c20 t60 O7 X W\r\nabc\r\n", abc, 0},
		{"stale, won by another", "its value is there all the same", get, "", "VA 3 f5 c20 t60 O7 Z X\r\nabc\r\n", abc, 0},
		{"placeholder", "empty and marked: no value yet", get, "", "VA 0 f0 c27 t30 O7 Z\r\n\r\n", status(StatusMiss), 27},
		{"placeholder, won", "empty and marked: no value yet", get, "", "VA 0 f0 c27 t30 O7 W\r\n\r\n", status(StatusMiss), 27},
		{"placeholder without its end", "something else", get, "", "VA 0 O7 W\r\nabc", failed, 0},
		{"at the limit", "MaxValue itself is fine", get, "", "VA 100 f5 c20 t60 O7\r\n" + strings.Repeat("v", 100) + "\r\n", found(hit{0, 5, 20, 60, strings.Repeat("v", 100)}), 0},
		{"over the limit", "nothing of it is asked for", get, "", "VA 101 f5 c20 t60 O7\r\n", failed, 0},
		{"4 GB announced", "nothing of it is asked for", get, "", "VA 4294967296 f5 c20 t60 O7\r\n", failed, 0},
		{"length over 64 bits", "does not wrap around", get, "", "VA 18446744073709551619 f5 c20 t60 O7\r\n", failed, 0},
		{"length with a tail", "no number", get, "", "VA 3x O7\r\nabc\r\n", failed, 0},
		{"no length", "no reply", get, "", "VA f5 c20 t60 O7\r\n", failed, 0},
		{"flags over 32 bits", "not what was stored", get, "", "VA 3 f4294967296 c20 t60 O7\r\n", failed, 0},
		{"TTL over 63 bits", "no number of seconds", get, "", "VA 3 f5 c20 t9223372036854775808 O7\r\n", failed, 0},
		{"TTL of -2", "no number of seconds", get, "", "VA 3 f5 c20 t-2 O7\r\n", failed, 0},
		{"another opaque", "a reply to another request", get, "", "VA 3 f5 c20 t60 O8\r\n", failed, 0},
		{"longer opaque", "a reply to another request", get, "", "VA 3 f5 c20 t60 O77\r\n", failed, 0},
		{"opaque of 33 bits", "does not wrap around", get, "", "VA 3 f5 c20 t60 O4294967303\r\n", failed, 0},
		{"opaque of a multi-get", "a reply to another request", get, "", "VA 3 f5 c20 t60 O7.0\r\n", failed, 0},
		{"two opaques", "both must be right", get, "", "VA 3 f5 c20 t60 O7 O8\r\n", failed, 0},
		{"no opaque", "could be anybody's", get, "", "VA 3 f5 c20 t60\r\n", failed, 0},
		{"miss without opaque", "before 1.6.18", get, "", "EN\r\n", failed, 0},
		{"another's miss", "a reply to another request", get, "", "EN O8\r\n", failed, 0},
		{"NF", "answers a delete", get, "", "NF O7\r\n", failed, 0},
		{"END", "answers a classic get", get, "", "END\r\n", failed, 0},
		{"MN", "answers a no-op", get, "", "MN\r\n", failed, 0},
		{"value too long", "its end is not where it should be", get, "", "VA 2 f5 c20 t60 O7\r\nabc\r\n", failed, 0},
		{"refused", "error lines carry no opaque", get, "", "SERVER_ERROR out of memory\r\n", refused(StatusServerError, "SERVER_ERROR out of memory"), 0},
		{"misunderstood", "a request that we should not have sent", get, "", "CLIENT_ERROR bad command line format\r\n", failed, 0},
		{"one letter", "no reply", get, "", "V\r\n", failed, 0},
	})
}

func TestMetaGetMulti(t *testing.T) {
	a, c := hit{0, 1, 11, 60, "A"}, hit{2, 3, 13, TTLNone, "C"}
	const va, vc = "VA 1 f1 c11 t60 O7.0\r\nA\r\n", "VA 1 f3 c13 t-1 O7.2\r\nC\r\n"
	const no = "EN O7.0\r\nEN O7.1\r\nEN O7.2\r\n"
	busy := refused(StatusServerError, "SERVER_ERROR busy")
	allBusy := busy
	busy.Hits = []hit{a, c}
	testWire(t, Meta{}, []wireCase{
		{"some", "the last key's answer ends it", some,
			"mg a v f c O7.0\r\nmg b v f c O7.1\r\nmg c v f c O7.2\r\n", va + "EN O7.1\r\n" + vc, found(a, c), 0},
		{"none", "no error", some, "", no, found(), 0},
		{"no value wanted", "means nothing here", with(some, noValue), "", va + "EN O7.1\r\n" + vc, found(a, c), 0},
		{"placeholder", "no value yet", some, "", va + "VA 0 f0 c2 t30 O7.1 Z\r\n\r\n" + vc, found(a, c), 0},
		{"placeholder at the end", "no value yet", some, "", va + "EN O7.1\r\nVA 0 f0 c2 t30 O7.2 W\r\n\r\n", found(a), 0},
		{"refused for one key", "the others' values count", some, "", va + "SERVER_ERROR busy\r\n" + vc, busy, 0},
		{"refused for all", "each has an answer", some, "", strings.Repeat("SERVER_ERROR busy\r\n", 3), allBusy, 0},
		{"unauthenticated", "nothing more comes", some, "", "CLIENT_ERROR unauthenticated\r\n", refused(StatusAuth, "CLIENT_ERROR unauthenticated"), 0},
		{"misunderstood", "a request that we should not have sent", some, "", va + "CLIENT_ERROR bad command line format\r\n", failed, 0},
		{"out of order", "a reply to another request", some, "", vc + va + "EN O7.1\r\n", failed, 0},
		{"one missing", "what another client's reply took with it", some, "", va + vc, failed, 0},
		{"hit twice", "a duplicated reply", some, "", va + va, failed, 0},
		{"miss twice", "a duplicated reply", some, "", "EN O7.0\r\nEN O7.0\r\n", failed, 0},
		{"another opaque", "a reply to another request", some, "", "VA 1 f1 c11 t60 O8.0\r\nA\r\n", failed, 0},
		{"opaque of a get", "a reply to another request", some, "", "VA 1 f1 c11 t60 O7\r\nA\r\n", failed, 0},
		{"another's miss", "a reply to another request", some, "", "EN O8.0\r\n", failed, 0},
		{"miss of a get", "a reply to another request", some, "", "EN O7\r\n", failed, 0},
		{"place of no key", "a reply to another request", some, "", "VA 1 f1 c11 t60 O7.3\r\nA\r\n", failed, 0},
		{"no place", "a reply to another request", some, "", "VA 1 f1 c11 t60 O7.\r\nA\r\n", failed, 0},
		{"two opaques", "a line answers one key", some, "", "EN O7.0 O7.1\r\nEN O7.2\r\n", failed, 0},
		{"opaque behind the last", "no key has that place", some, "", va + "EN O7.1\r\nVA 1 f3 c13 O7.2 O7.3\r\nC\r\n", failed, 0},
		{"NF", "answers a delete", some, "", "NF O7.0\r\n", failed, 0},
		{"HD", "answers a store", some, "", "HD O7.0\r\n", failed, 0},
		{"MN", "answers a no-op", some, "", "MN\r\n", failed, 0},
	})
}

func TestMetaStore(t *testing.T) {
	testWire(t, Meta{}, []wireCase{
		{"set", "c returns the new CAS", set, "ms a 3 T60 F5 c O7\r\nabc\r\n", "HD c21 O7\r\n", status(StatusOK), 21},
		{"set of nothing", "zeros need no flags", with(set, func(r *Request) { r.Value, r.Flags, r.Exptime = nil, 0, 0 }), "ms a 0 c O7\r\n\r\n", "HD c21 O7\r\n", status(StatusOK), 21},
		{"set dropped", "proxies say so", set, "", "NS c0 O7\r\n", status(StatusNotStored), 0},
		{"set, EX", "answers a swap", set, "", "EX c0 O7\r\n", failed, 0},
		{"set, NF", "answers a swap", set, "", "NF c0 O7\r\n", failed, 0},
		{"set, VA", "answers a get", set, "", "VA 3 O7\r\nabc\r\n", failed, 0},
		{"set, another opaque", "a reply to another request", set, "", "HD c21 O8\r\n", failed, 0},
		{"set, no opaque", "could be anybody's", set, "", "HD c21\r\n", failed, 0},
		{"set too large", "the server has read the value", set, "", "SERVER_ERROR object too large for cache\r\n", refused(StatusTooLarge, "SERVER_ERROR object too large for cache"), 0},
		{"set misunderstood", "the value may run as commands", set, "", "CLIENT_ERROR bad data chunk\r\n", failed, 0},
		{"swap", "the version was the one", swap, "ms a 3 C20 c O7\r\nabc\r\n", "HD c21 O7\r\n", status(StatusOK), 21},
		{"swap conflict", "another version", swap, "", "EX c0 O7\r\n", status(StatusExists), 0},
		{"swap miss", "vanished", swap, "", "NF c0 O7\r\n", status(StatusMiss), 0},
		{"add", "stored", add, "ms a 3 ME c O7\r\nabc\r\n", "HD c21 O7\r\n", status(StatusOK), 21},
		{"add again", "the key is taken", add, "", "NS c0 O7\r\n", status(StatusNotStored), 0},
		{"replace", "negative exptimes have a sign", replace, "ms a 3 T-1 MR c O7\r\nabc\r\n", "HD c21 O7\r\n", status(StatusOK), 21},
		{"replace miss", "nothing there", replace, "", "NS c0 O7\r\n", status(StatusNotStored), 0},
		{"replace miss, NF", "other versions", replace, "", "NF O7\r\n", status(StatusNotStored), 0},
		{"append", "keeps flags and exptime", app, "ms a 3 MA c O7\r\nabc\r\n", "HD c21 O7\r\n", status(StatusOK), 21},
		{"prepend", "keeps flags and exptime", prepend, "ms a 3 MP c O7\r\nabc\r\n", "HD c21 O7\r\n", status(StatusOK), 21},
		{"prepend miss", "nothing there", prepend, "", "NS c0 O7\r\n", status(StatusNotStored), 0},
	})
}

func TestMetaOthers(t *testing.T) {
	delCAS := with(del, func(r *Request) { r.CAS = 20 })
	create := func(r *Request) { r.Create, r.Initial, r.Exptime = true, 9, 60 }
	const nan = "CLIENT_ERROR cannot increment or decrement non-numeric value"
	testWire(t, Meta{}, []wireCase{
		{"delete", "done", del, "md a O7\r\n", "HD O7\r\n", status(StatusOK), 0},
		{"delete miss", "nothing there", del, "", "NF O7\r\n", status(StatusMiss), 0},
		{"delete miss, old server", "doubled blank", del, "", "NF  O7\r\n", status(StatusMiss), 0},
		{"delete, EX", "answers a delete by CAS", del, "", "EX O7\r\n", failed, 0},
		{"delete by CAS", "that version only", delCAS, "md a C20 O7\r\n", "HD O7\r\n", status(StatusOK), 0},
		{"delete by CAS, conflict", "another version", delCAS, "", "EX O7\r\n", status(StatusExists), 0},
		{"touch", "a get of nothing that sets the TTL", touch, "mg a T60 O7\r\n", "HD O7\r\n", status(StatusOK), 0},
		{"touch miss", "nothing there", touch, "", "EN O7\r\n", status(StatusMiss), 0},
		{"incr", "the new number and its CAS", incr, "ma a v c D5 O7\r\n", "VA 2 c21 O7\r\n12\r\n", done(Reply{Number: 12}), 21},
		{"decr", "trailing blanks do not count", decr, "ma a v c MD D5 O7\r\n", "VA 2 c21 O7\r\n9 \r\n", done(Reply{Number: 9}), 21},
		{"incr miss", "nothing there", incr, "", "NF O7\r\n", status(StatusMiss), 0},
		{"incr text", "error lines carry no opaque", incr, "", nan + "\r\n", refused(StatusNotNumber, nan), 0},
		{"create", "exptime and initial value", with(incr, create), "ma a v c D5 N60 J9 O7\r\n", "VA 1 c21 O7\r\n9\r\n", done(Reply{Number: 9}), 21},
		{"created by another", "between look and store", with(incr, create), "", "NS O7\r\n", status(StatusNotStored), 0},
		{"incr, not stored", "nothing was to be created", incr, "", "NS O7\r\n", failed, 0},
		{"get, not stored", "answers a store", with(get, create), "", "NS O7\r\n", failed, 0},
		{"incr, another opaque", "a reply to another request", incr, "", "VA 2 c21 O8\r\n12\r\n", failed, 0},
		{"incr, text", "no counter", incr, "", "VA 2 c21 O7\r\nab\r\n", failed, 0},
		{"incr, nothing", "no counter", incr, "", "VA 0 c21 O7\r\n\r\n", failed, 0},
		{"incr, long", "no counter", incr, "", "VA 33 c21 O7\r\n", failed, 0},
		{"incr, too long", "its end is not where it should be", incr, "", "VA 1 c21 O7\r\n12\r\n", failed, 0},
		{"version", "has no meta form", version, "version\r\n", "VERSION 1.6.18\r\n", done(Reply{Line: "1.6.18"}), 0},
		{"stats", "have no meta form", stats, "stats\r\n", "STAT pid 1\r\nEND\r\n", done(Reply{Stats: []Stat{{"pid", "1"}}}), 0},
		{"flush", "has no meta form", flush, "flush_all\r\n", "OK\r\n", status(StatusOK), 0},
		{"auth", "has no meta form", auth, "set auth 0 -1 9\r\nuser pass\r\n", "STORED\r\n", status(StatusOK), 0},
	})
}
