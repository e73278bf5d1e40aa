package proto

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// many is a multi-get that Text sends as a list: keys in front, the last one of
// them at the end, and others between.
func many(keys ...string) []string {
	last := len(keys) - 1
	return slices.Concat(keys[:last], slices.Repeat([]string{"-"}, maxMetaKeys-last), keys[last:])
}

func TestTextGetMulti(t *testing.T) {
	few := Request{Op: OpGetMulti, Keys: many("a", "b")[1:], Opaque: 7}
	list := Request{Op: OpGetMulti, Keys: many("a", "b", "c", "b", "z"), Opaque: 7}
	var fewWire, fewReply string
	for i, key := range few.Keys {
		fewWire += fmt.Sprintf("mg %s v f c O7.%d\r\n", key, i)
		fewReply += fmt.Sprintf("EN O7.%d\r\n", i)
	}
	a, b, z := hit{0, 1, 11, TTLUnknown, "A"}, hit{1, 2, 12, TTLUnknown, "B"}, hit{maxMetaKeys, 3, 13, TTLUnknown, "Z"}
	const va, vb, vz = "VA 1 f1 c11 O7.0\r\nA\r\n", "VALUE b 2 1 12\r\nB\r\n", "VALUE z 3 1 13\r\nZ\r\n"
	const none, busy = "EN O7.0\r\n", "SERVER_ERROR busy\r\n"
	const end, mn = "END\r\n", "MN\r\n"
	refusedWith := func(h ...hit) outcome {
		o := refused(StatusServerError, "SERVER_ERROR busy")
		o.Hits = h
		return o
	}
	testWire(t, Text{}, []wireCase{
		{"few keys", "one meta get each", few, fewWire, fewReply, found(), 0},
		{"some", "the no-op ends it", list, "mg a v f c O7.0\r\ngets b c b" + strings.Repeat(" -", 20) + " z\r\nmn\r\n", va + vb + vz + end + mn, found(a, b, z), 0},
		{"key twice", "each has its place", list, "", va + vb + vb + end + mn, found(a, b, hit{3, 2, 12, TTLUnknown, "B"}), 0},
		{"all but the first", "a miss carries the opaque", list, "", none + vb + vz + end + mn, found(b, z), 0},
		{"only the first", "an empty list", list, "", va + end + mn, found(a), 0},
		{"none", "no error", list, "", none + end + mn, found(), 0},
		{"placeholder in front", "no value yet", list, "", "VA 0 f0 c27 t30 O7.0 W\r\n\r\n" + vb + end + mn, found(b), 27},
		{"empty value", "or a placeholder, which classic does not tell from one", list, "", va + "VALUE b 2 0 12\r\n\r\n" + end + mn, found(a, hit{1, 2, 12, TTLUnknown, ""}), 0},
		{"no MN", "waits for it", list, "", va + vb + end, outcome{Hits: []hit{a, b}, More: true}, 0},
		{"no END", "the list is not complete", list, "", va + vb + mn, failed, 0},
		{"no list", "it is not complete", list, "", va + mn, failed, 0},
		{"MN in front", "answers another request", list, "", mn + va + end + mn, failed, 0},
		{"list in front", "answers another request", list, "", end + va + end + mn, failed, 0},
		{"END twice", "of another request", list, "", none + end + end + mn, failed, 0},
		{"value behind END", "the list was over", list, "", none + end + vb + mn, failed, 0},
		{"first key twice", "it was asked for once", list, "", va + "VALUE a 1 1 11\r\nA\r\n" + end + mn, failed, 0},
		{"out of order", "a reply to another request", list, "", va + vz + vb + end + mn, failed, 0},
		{"another key", "a reply to another request", list, "", va + "VALUE d 1 1 11\r\nA\r\n", failed, 0},
		{"another opaque", "a reply to another request", list, "", "EN O8.0\r\n", failed, 0},
		{"another place", "a reply to another request", list, "", "EN O7.1\r\n", failed, 0},
		{"refused", "a plain server leaves END out", list, "", va + busy + mn, refusedWith(a), 0},
		{"refused inside", "a plain server leaves END out", list, "", va + vb + busy + mn, refusedWith(a, b), 0},
		{"refused by a proxy", "which goes on", list, "", va + vb + busy + busy + vz + end + mn, refusedWith(a, b, z), 0},
		{"refused in front", "the list counts", list, "", busy + vb + end + mn, refusedWith(b), 0},
		{"refused in front only", "the list is not complete", list, "", busy + mn, failed, 0},
		{"refused everywhere", "a plain server in need", list, "", busy + busy + mn, refusedWith(), 0},
		{"refused for every key", "a proxy that reaches no server", list, "", strings.Repeat(busy, maxMetaKeys+1) + end + mn, refusedWith(), 0},
		{"refused in other words", "the first are kept", list, "", busy + "SERVER_ERROR gone\r\n" + end + mn, refusedWith(), 0},
		{"refused too often", "more often than there are keys", list, "", strings.Repeat(busy, maxMetaKeys+2), failed, 0},
		{"refused behind END", "a no-op cannot be", list, "", va + end + busy, failed, 0},
		{"unauthenticated", "nothing more comes", list, "", "CLIENT_ERROR unauthenticated\r\n", refused(StatusAuth, "CLIENT_ERROR unauthenticated"), 0},
		{"misunderstood", "a request that we should not have sent", list, "", "ERROR\r\n", failed, 0},
	})
}
