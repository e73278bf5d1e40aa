package proto

import (
	"encoding/binary"
	"strings"
	"testing"
)

// reply is a binary packet from a server, field by field.
type reply struct {
	magic, opcode, dataType byte // magic 0 stands for that of a reply
	opaque                  uint32
	cas                     uint64
	extras, key, value      string
}

// packet is the bytes of r with a status.
func packet(status uint16, r reply) string {
	var h [headerSize]byte
	if h[0] = r.magic; r.magic == 0 {
		h[0] = magicReply
	}
	h[1], h[4], h[5] = r.opcode, byte(len(r.extras)), r.dataType
	binary.BigEndian.PutUint16(h[2:], uint16(len(r.key)))
	binary.BigEndian.PutUint16(h[6:], status)
	binary.BigEndian.PutUint32(h[8:], uint32(len(r.extras)+len(r.key)+len(r.value)))
	binary.BigEndian.PutUint32(h[12:], r.opaque)
	binary.BigEndian.PutUint64(h[16:], r.cas)
	return string(h[:]) + r.extras + r.key + r.value
}

// ask is a binary request to opaque 7, field by field.
func ask(opcode byte, cas uint64, extras, key, value string) string {
	return packet(0, reply{magic: magicRequest, opcode: opcode, opaque: 7, cas: cas, extras: extras, key: key, value: value})
}

// answer is a success of opcode to opaque 7.
func answer(opcode byte, cas uint64, extras, key, value string) string {
	return packet(0, reply{opcode: opcode, opaque: 7, cas: cas, extras: extras, key: key, value: value})
}

// refuse is an error of opcode to opaque 7, with the server's text.
func refuse(status uint16, opcode byte, text string) string {
	return packet(status, reply{opcode: opcode, opaque: 7, value: text})
}

const (
	five  = "\x00\x00\x00\x05"
	sixty = "\x00\x00\x00\x3c"
	past  = "\x00\x27\x8d\x01" // 2,592,001: January 1970
)

// announce is the header of a reply whose lengths are these, and no more of it.
func announce(opcode byte, extras byte, key uint16, body uint32) string {
	h := []byte(answer(opcode, 20, "", "", ""))
	h[4] = extras
	binary.BigEndian.PutUint16(h[2:], key)
	binary.BigEndian.PutUint32(h[8:], body)
	return string(h)
}

func TestBinaryGet(t *testing.T) {
	abc := found(hit{0, 5, 20, TTLUnknown, "abc"})
	foreign := func(r reply) string {
		r.cas, r.extras, r.value = 20, five, "abc"
		return packet(0, r)
	}
	testWire(t, Binary{MaxValue: 100}, []wireCase{
		{"hit", "flags are the extras", get, ask(opcodeGet, 0, "", "a", ""), answer(opcodeGet, 20, five, "", "abc"), abc, 0},
		{"miss", "its text is passed over", get, "", refuse(1, opcodeGet, "Not found"), status(StatusMiss), 0},
		{"no value wanted", "it cannot be left out", with(get, noValue), "", answer(opcodeGet, 20, five, "", "abc"), abc, 0},
		{"gat", "the exptime is the extras", gat, ask(opcodeGAT, 0, sixty, "a", ""), answer(opcodeGAT, 20, five, "", "abc"), abc, 0},
		{"gat miss", "nothing there", gat, "", refuse(1, opcodeGAT, "Not found"), status(StatusMiss), 0},
		{"gat, no value", "a touch, which returns flags and CAS", with(gat, noValue), ask(opcodeTouch, 0, sixty, "a", ""),
			answer(opcodeTouch, 20, five, "", ""), done(Reply{}), 20},
		{"empty value", "flags alone", get, "", answer(opcodeGet, 20, five, "", ""), found(hit{0, 5, 20, TTLUnknown, ""}), 0},
		{"at the limit", "MaxValue itself is fine", get, "", answer(opcodeGet, 20, five, "", strings.Repeat("v", 100)), found(hit{0, 5, 20, TTLUnknown, strings.Repeat("v", 100)}), 0},
		{"over the limit", "nothing of it is asked for", get, "", announce(opcodeGet, 4, 0, 105) + five, failed, 0},
		{"4 GB announced", "nothing of it is asked for", get, "", announce(opcodeGet, 4, 0, 1<<32-1) + five, failed, 0},
		{"4 GB of miss announced", "an error has a short text", get, "", packet(1, reply{opcode: opcodeGet, opaque: 7, value: strings.Repeat("x", MaxHead)}), failed, 0},
		{"another opaque", "a reply to another request", get, "", foreign(reply{opcode: opcodeGet, opaque: 8}), failed, 0},
		{"another opcode", "a reply to another request", get, "", foreign(reply{opcode: opcodeGAT, opaque: 7}), failed, 0},
		{"another's miss", "a reply to another request", get, "", packet(1, reply{opcode: opcodeGet, opaque: 8}), failed, 0},
		{"request", "not what servers send", get, "", ask(opcodeGet, 0, "", "a", ""), failed, 0},
		{"text", "not what binary servers send", get, "", "ERROR Too many open connections\r\n", failed, 0},
		{"data type", "reserved", get, "", foreign(reply{opcode: opcodeGet, opaque: 7, dataType: 1}), failed, 0},
		{"no flags", "every item has them", get, "", answer(opcodeGet, 20, "", "", "abc"), failed, 0},
		{"more extras", "nothing we know", get, "", answer(opcodeGet, 20, five+five, "", "abc"), failed, 0},
		{"key", "a get returns none", get, "", answer(opcodeGet, 20, five, "a", "abc"), failed, 0},
		{"extras over the body", "the lengths contradict each other", get, "", announce(opcodeGet, 4, 0, 3) + "abc", failed, 0},
		{"key over the body", "the lengths contradict each other", get, "", announce(opcodeGet, 4, 100, 99) + five, failed, 0},
		{"incomplete header", "waits", get, "", answer(opcodeGet, 20, five, "", "abc")[:23], outcome{More: true}, 0},
		{"incomplete flags", "waits", get, "", answer(opcodeGet, 20, five, "", "abc")[:27], outcome{More: true}, 0},
		{"invalid", "the server closes", get, "", refuse(4, opcodeGet, "Invalid arguments"), failed, 0},
		{"unauthenticated", "the server closes", get, "", refuse(0x20, opcodeGet, "Auth failure."), refused(StatusAuth, "Auth failure."), 0},
		{"without memory", "any other refusal", get, "", refuse(0x82, opcodeGet, "Out of memory"), refused(StatusServerError, "Out of memory"), 0},
		{"without a text", "the number says it", get, "", refuse(0x84, opcodeGet, ""), refused(StatusServerError, "status 0x84"), 0},
	})
}

func TestBinaryGetMulti(t *testing.T) {
	a, c := hit{0, 5, 11, TTLUnknown, "A"}, hit{2, 5, 13, TTLUnknown, "C"}
	va, vb, vc := answer(opcodeGetK, 11, five, "a", "A"), answer(opcodeGetK, 12, five, "b", "B"), answer(opcodeGetK, 13, five, "c", "C")
	miss := func(key string) string { return packet(1, reply{opcode: opcodeGetK, opaque: 7, key: key}) }
	getK := func(key string) string { return ask(opcodeGetK, 0, "", key, "") }
	busy := refused(StatusServerError, "Busy")
	half := busy
	busy.Hits, half.Hits = []hit{a, c}, []hit{a}
	testWire(t, Binary{}, []wireCase{
		{"all", "the last hit ends it", some, getK("a") + getK("b") + getK("c"), va + vb + vc, found(a, hit{1, 5, 12, TTLUnknown, "B"}, c), 0},
		{"some", "each miss is told, with its key", some, "", va + miss("b") + vc, found(a, c), 0},
		{"none", "no error", some, "", miss("a") + miss("b") + miss("c"), found(), 0},
		{"miss without a key", "of a server that tells the reason instead", some, "", va + refuse(1, opcodeGetK, "Not found") + vc, found(a, c), 0},
		{"refused for one key", "the others' values count", some, "", va + refuse(0x85, opcodeGetK, "Busy") + vc, busy, 0},
		{"refused at the end", "that ends it, too", some, "", va + miss("b") + refuse(0x85, opcodeGetK, "Busy"), half, 0},
		{"unauthenticated", "nothing more comes", some, "", refuse(0x20, opcodeGetK, "Auth failure."), refused(StatusAuth, "Auth failure."), 0},
		{"incomplete", "waits for the last key", some, "", va + miss("b"), outcome{More: true, Hits: []hit{a}}, 0},
		{"out of order", "a reply to another request", some, "", vc + va + vb, failed, 0},
		{"hit twice", "a duplicated reply", some, "", va + va + vc, failed, 0},
		{"missed twice", "a duplicated reply", some, "", miss("a") + miss("a") + vc, failed, 0},
		{"another key", "a reply to another request", some, "", answer(opcodeGetK, 11, five, "d", "D"), failed, 0},
		{"another's miss", "a reply to another request", some, "", miss("d"), failed, 0},
		{"no key", "could be any", some, "", answer(opcodeGetK, 11, five, "", "A"), failed, 0},
		{"another opaque", "a reply to another request", some, "", packet(0, reply{opcode: opcodeGetK, opaque: 8, extras: five, key: "a", value: "A"}), failed, 0},
		{"quiet", "not the opcode", some, "", answer(0x0d, 11, five, "a", "A"), failed, 0},
		{"no-op", "not the opcode", some, "", answer(0x0a, 0, "", "", ""), failed, 0},
		{"get", "not the opcode", some, "", answer(opcodeGet, 11, five, "", "A"), failed, 0},
		{"key over 250", "no key of ours", some, "", announce(opcodeGetK, 4, 251, 255), failed, 0},
	})
}

func TestBinaryStore(t *testing.T) {
	testWire(t, Binary{}, []wireCase{
		{"set", "flags and exptime are the extras", set, ask(opcodeSet, 0, five+sixty, "a", "abc"), answer(opcodeSet, 21, "", "", ""), status(StatusOK), 21},
		{"set too large", "the server has read the value", set, "", refuse(3, opcodeSet, "Too large."), status(StatusTooLarge), 0},
		{"set, another opaque", "a reply to another request", set, "", packet(0, reply{opcode: opcodeSet, opaque: 8, cas: 21}), failed, 0},
		{"set, another opcode", "a reply to another request", set, "", answer(opcodeAdd, 21, "", "", ""), failed, 0},
		{"set with a body", "no reply to a store", set, "", answer(opcodeSet, 21, "", "", "abc"), failed, 0},
		{"set, not found", "there is no such answer", set, "", refuse(1, opcodeSet, "Not found"), refused(StatusServerError, "Not found"), 0},
		{"swap", "the version was the one", swap, ask(opcodeSet, 20, "\x00\x00\x00\x00\x00\x00\x00\x00", "a", "abc"), answer(opcodeSet, 21, "", "", ""), status(StatusOK), 21},
		{"swap conflict", "another version", swap, "", refuse(2, opcodeSet, "Data exists for key."), status(StatusExists), 0},
		{"swap miss", "vanished", swap, "", refuse(1, opcodeSet, "Not found"), status(StatusMiss), 0},
		{"add", "a CAS means nothing to it", with(add, func(r *Request) { r.CAS = 20 }), ask(opcodeAdd, 0, "\x00\x00\x00\x00\x00\x00\x00\x00", "a", "abc"), answer(opcodeAdd, 21, "", "", ""), status(StatusOK), 21},
		{"add again", "the key is taken", add, "", refuse(2, opcodeAdd, "Data exists for key."), status(StatusNotStored), 0},
		{"replace", "negative exptimes are a date in the past", replace, ask(opcodeReplace, 0, "\x00\x00\x00\x00"+past, "a", "abc"), answer(opcodeReplace, 21, "", "", ""), status(StatusOK), 21},
		{"replace miss", "nothing there", replace, "", refuse(1, opcodeReplace, "Not found"), status(StatusNotStored), 0},
		{"append", "no extras", app, ask(opcodeAppend, 0, "", "a", "abc"), answer(opcodeAppend, 21, "", "", ""), status(StatusOK), 21},
		{"append miss", "nothing there", app, "", refuse(5, opcodeAppend, "Not stored."), status(StatusNotStored), 0},
		{"prepend", "no extras", prepend, ask(opcodePrepend, 0, "", "a", "abc"), answer(opcodePrepend, 21, "", "", ""), status(StatusOK), 21},
	})
}

func TestBinaryOthers(t *testing.T) {
	const delta, nine, none = "\x00\x00\x00\x00\x00\x00\x00\x05", "\x00\x00\x00\x00\x00\x00\x00\x09", "\x00\x00\x00\x00\x00\x00\x00\x00"
	const twelve = "\x00\x00\x00\x00\x00\x00\x00\x0c"
	create := with(decr, func(r *Request) { r.Create, r.Initial, r.Exptime = true, 9, 60 })
	testWire(t, Binary{}, []wireCase{
		{"delete", "done", del, ask(opcodeDelete, 0, "", "a", ""), answer(opcodeDelete, 0, "", "", ""), status(StatusOK), 0},
		{"delete miss", "nothing there", del, "", refuse(1, opcodeDelete, "Not found"), status(StatusMiss), 0},
		{"delete by CAS", "that version only", with(del, func(r *Request) { r.CAS = 20 }), ask(opcodeDelete, 20, "", "a", ""), refuse(2, opcodeDelete, "Data exists for key."), status(StatusExists), 0},
		{"delete, exists", "answers a delete by CAS", del, "", refuse(2, opcodeDelete, "Data exists for key."), refused(StatusServerError, "Data exists for key."), 0},
		{"touch", "its flags are passed over", touch, ask(opcodeTouch, 0, sixty, "a", ""), answer(opcodeTouch, 20, five, "", ""), status(StatusOK), 20},
		{"touch, bare", "other servers return none", touch, "", answer(opcodeTouch, 20, "", "", ""), status(StatusOK), 20},
		{"touch with a value", "no reply to a touch", touch, "", answer(opcodeTouch, 20, five, "", "abc"), failed, 0},
		{"incr", "an exptime of all ones creates nothing", incr, ask(opcodeIncrement, 0, delta+none+"\xff\xff\xff\xff", "a", ""), answer(opcodeIncrement, 21, "", "", twelve), done(Reply{Number: 12}), 21},
		{"create", "exptime and initial value", create, ask(opcodeDecrement, 0, delta+nine+sixty, "a", ""), answer(opcodeDecrement, 21, "", "", nine), done(Reply{Number: 9}), 21},
		{"incr miss", "nothing there", incr, "", refuse(1, opcodeIncrement, "Not found"), status(StatusMiss), 0},
		{"incr text", "no number", incr, "", refuse(6, opcodeIncrement, "Non-numeric server-side value for incr or decr"), status(StatusNotNumber), 0},
		{"incr, 7 bytes", "no counter", incr, "", answer(opcodeIncrement, 21, "", "", nine[1:]), failed, 0},
		{"incr with a key", "no counter", incr, "", answer(opcodeIncrement, 21, "", "a", nine[1:]), failed, 0},
		{"flush", "a key means nothing to it", with(flush, func(r *Request) { r.Key = "a" }), ask(opcodeFlush, 0, "", "", ""), answer(opcodeFlush, 0, "", "", ""), status(StatusOK), 0},
		{"version", "as it stands", version, ask(opcodeVersion, 0, "", "", ""), answer(opcodeVersion, 0, "", "", "1.6.18"), done(Reply{Line: "1.6.18"}), 0},
		{"version with a key", "no version", version, "", answer(opcodeVersion, 0, "", "a", "1.6.18"), failed, 0},
		{"stats", "a packet each, an empty one ends it", stats, ask(opcodeStat, 0, "", "", ""),
			answer(opcodeStat, 0, "", "pid", "1") + answer(opcodeStat, 0, "", "version", "1.6.18") + answer(opcodeStat, 0, "", "", ""),
			done(Reply{Stats: []Stat{{"pid", "1"}, {"version", "1.6.18"}}}), 0},
		{"stats of a section", "the key", with(stats, func(r *Request) { r.Key = "items" }), ask(opcodeStat, 0, "", "items", ""), answer(opcodeStat, 0, "", "", ""), done(Reply{}), 0},
		{"stats, unknown section", "the user's mistake", stats, "", refuse(1, opcodeStat, "Not found"), refused(StatusServerError, "Not found"), 0},
		{"auth", "SASL PLAIN", auth, ask(opcodeAuth, 0, "", "PLAIN", "\x00user\x00pass"), answer(opcodeAuth, 0, "", "", "Authenticated"), status(StatusOK), 0},
		{"auth refused", "the connection stays open", auth, "", refuse(0x20, opcodeAuth, "Auth failure."), refused(StatusAuth, "Auth failure."), 0},
		{"auth, more steps", "PLAIN has one", auth, "", refuse(0x21, opcodeAuth, "x"), refused(StatusAuth, "x"), 0},
		{"auth unknown", "a server without SASL", auth, "", refuse(0x81, opcodeAuth, "Unknown command"), refused(StatusServerError, "Unknown command"), 0},
	})
}
