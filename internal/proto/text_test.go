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
	list := Request{Op: OpGetMulti, Keys: many("a", "b", "a", "z"), Opaque: 7}
	var fewWire, fewReply string
	for i, key := range few.Keys {
		fewWire += fmt.Sprintf("mg %s v f c O7.%d\r\n", key, i)
		fewReply += fmt.Sprintf("EN O7.%d\r\n", i)
	}
	a, b, z := hit{0, 1, 11, TTLUnknown, "A"}, hit{1, 2, 12, TTLUnknown, "B"}, hit{maxMetaKeys, 3, 13, TTLUnknown, "Z"}
	const va, vb, vz = "VALUE a 1 1 11\r\nA\r\n", "VALUE b 2 1 12\r\nB\r\n", "VA 1 f3 c13 O7.24\r\nZ\r\n"
	const none, busy = "EN O7.24\r\n", "SERVER_ERROR busy\r\n"
	const end = "END\r\n"
	refusedWith := func(h ...hit) outcome {
		o := refused(StatusServerError, "SERVER_ERROR busy")
		o.Hits = h
		return o
	}
	testWire(t, Text{}, []wireCase{
		{"few keys", "one meta get each", few, fewWire, fewReply, found(), 0},
		{"some", "the answer for the last key ends it", list, "gets a b a" + strings.Repeat(" -", 21) + "\r\nmg z v f c O7.24\r\n", va + vb + end + vz, found(a, b, z), 0},
		{"key twice", "each has its place", list, "", va + "VALUE a 1 1 11\r\nA\r\n" + end + none, found(a, hit{2, 1, 11, TTLUnknown, "A"}), 0},
		{"all but the last", "a miss carries the opaque", list, "", va + vb + end + none, found(a, b), 0},
		{"only the last", "an empty list", list, "", end + vz, found(z), 0},
		{"none", "no error", list, "", end + none, found(), 0},
		{"placeholder at the end", "no value yet", list, "", end + "VA 0 f0 c27 t30 O7.24 W\r\n\r\n", found(), 27},
		{"no last", "waits for it", list, "", va + end, outcome{Hits: []hit{a}, More: true}, 0},
		{"END twice", "of another request", list, "", end + end + none, failed, 0},
		{"END too early", "of another request", list, "", end + va + end + none, failed, 0},
		{"no END", "the list is not complete", list, "", va + none, failed, 0},
		{"last key in the list", "it was not asked for there", list, "", "VALUE z 3 1 13\r\nZ\r\n" + end + none, failed, 0},
		{"out of order", "a reply to another request", list, "", vb + va + va + end + none, failed, 0},
		{"another key", "a reply to another request", list, "", "VALUE d 1 1 11\r\nA\r\n", failed, 0},
		{"another opaque", "a reply to another request", list, "", end + "EN O8.24\r\n", failed, 0},
		{"another place", "a reply to another request", list, "", end + "EN O7.0\r\n", failed, 0},
		{"refused", "a plain server leaves END out", list, "", busy + none, refusedWith(), 0},
		{"refused inside", "a plain server leaves END out", list, "", va + busy + vz, refusedWith(a, z), 0},
		{"refused by a proxy", "which goes on", list, "", va + busy + busy + end + vz, refusedWith(a, z), 0},
		{"refused at the end", "stands for the last key", list, "", va + end + busy, refusedWith(a), 0},
		{"refused everywhere", "a proxy that reaches no server", list, "", strings.Repeat(busy, maxMetaKeys) + end + busy, refusedWith(), 0},
		{"refused too often", "more often than there are keys", list, "", strings.Repeat(busy, maxMetaKeys+1), failed, 0},
		{"unauthenticated", "nothing more comes", list, "", "CLIENT_ERROR unauthenticated\r\n", refused(StatusAuth, "CLIENT_ERROR unauthenticated"), 0},
		{"misunderstood", "a request that we should not have sent", list, "", "ERROR\r\n", failed, 0},
		{"MN", "answers a no-op", list, "", "MN\r\n", failed, 0},
	})
}
