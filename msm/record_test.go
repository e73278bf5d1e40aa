package msm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compareRecords = cmp.Options{cmp.AllowUnexported(record{}, attr{}), cmpopts.EquateEmpty()}

func ms(n int64) time.Time { return time.UnixMilli(n) }

var recordCases = []struct {
	name, reason string
	record       record
	want         string // in hex, without mark, format and the head's base; "" is not compared
}{
	{"least", "a session without anything", record{base: testBase}, "0124" + "00000000"},
	{"times", "milliseconds", record{base: testBase, created: ms(1500000000000), accessed: ms(1500000001000), maxInactive: 30 * time.Minute, maxLife: 12 * time.Hour},
		"0134" + "80b0def7d32b" + "e8b7def7d32b" + "80dddb01" + "80b89929"},
	{"never expires", "negative", record{base: testBase, maxInactive: -time.Millisecond}, "0124" + "00000100"},
	{"nonces", "newest first, up to the last one", record{base: testBase, nonces: nonces{1, 2}}, "0124" + "00000000" + "0210" + "0000000000000001" + "0000000000000002"},
	{"node", "where its newest copy is", record{base: testBase, node: "n1"}, "0124" + "00000000" + "0302" + "6e31"},
	{"two nodes", "where both copies are", record{base: testBase, node: "n1", second: "n2"}, "0124" + "00000000" + "0305" + "6e31" + "2c" + "6e32"},
	{"invalidated", "a tombstone", record{base: testBase, dead: invalidated}, "0124" + "00000000" + "040101"},
	{"invalidated on a node", "a tombstone has a place too", record{base: testBase, node: "n1", dead: invalidated}, "0124" + "00000000" + "0302" + "6e31" + "040101"},
	{"renewed", "a tombstone that names no successor", record{base: testBase, dead: renewed}, "0124" + "00000000" + "040102"},
	{"attributes", "codec, name, data", record{base: testBase, attrs: []attr{{"a", 1, []byte("x")}, {"b", 2, nil}}}, "0124" + "00000000" + "0504" + "0101" + "6178" + "0503" + "0201" + "62"},
	{"unknown frames", "kept as they are", record{base: testBase, unknown: []byte{9, 1, 'x', 9, 0, 200, 2, 1, 2}}, "0124" + "00000000" + "090178" + "0900" + "c8020102"},
}

func TestRecordForm(t *testing.T) {
	for _, tc := range recordCases {
		t.Run(tc.name, func(t *testing.T) {
			data := tc.record.appendTo([]byte("before"))
			data, ok := bytes.CutPrefix(data, []byte("before"))
			if !ok {
				t.Fatal("appendTo did not append")
			}
			plain := strings.Replace(hex.EncodeToString(data), hex.EncodeToString([]byte(testBase)), "", 1)
			if plain != "f501"+tc.want {
				t.Errorf("%s: stored form\n got %s\nwant f501%s", tc.reason, plain, tc.want)
			}
			got, err := parseRecord(data)
			if err != nil {
				t.Fatalf("parseRecord: %v", err)
			}
			if diff := cmp.Diff(&tc.record, got, compareRecords); diff != "" {
				t.Errorf("%s: read back (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// What cannot be stored is cut, not mangled.
func TestRecordTruncates(t *testing.T) {
	in := record{base: testBase, created: time.Unix(1, 999_999), accessed: time.Unix(-5, 0), maxInactive: 1500 * time.Microsecond, dead: invalidated, attrs: []attr{{"secret", 1, []byte("x")}}}
	want := record{base: testBase, created: ms(1000), maxInactive: time.Millisecond, dead: invalidated}
	got, err := parseRecord(in.appendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got, compareRecords); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	far := record{base: testBase, created: time.Unix(math.MaxInt64/2, 0), maxInactive: math.MaxInt64, maxLife: math.MinInt64}
	if _, err := parseRecord(far.appendTo(nil)); err != nil {
		t.Errorf("the largest values are not read back: %v", err)
	}
}

func TestRecordRoundTripAtRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		want := randomRecord(rnd)
		data := want.appendTo(nil)
		if bound := want.sizeBound(); len(data) > bound {
			t.Fatalf("%d bytes stored, sizeBound() = %d", len(data), bound)
		}
		got, err := parseRecord(data)
		if err != nil {
			t.Fatalf("parseRecord: %v\n%+v", err, want)
		}
		if diff := cmp.Diff(want, got, compareRecords); diff != "" {
			t.Fatalf("read back (-want +got):\n%s", diff)
		}
	}
}

func randomRecord(rnd *rand.Rand) *record {
	r := &record{
		base:        newBase(),
		created:     ms(1 + rnd.Int64N(maxMillis)),
		accessed:    ms(1 + rnd.Int64N(maxMillis)),
		maxInactive: time.Duration(rnd.Int64N(1<<40)-1<<39) * time.Millisecond,
		maxLife:     time.Duration(rnd.Int64N(1<<40)) * time.Millisecond,
	}
	for range rnd.IntN(maxNonces + 1) {
		r.nonces = append(r.nonces, nonce(rnd.Uint64()|1))
	}
	if rnd.IntN(2) == 0 {
		r.node = strings.Repeat("n", 1+rnd.IntN(maxNodeLen))
		r.second = strings.Repeat("m", rnd.IntN(maxNodeLen+1))
	}
	if rnd.IntN(4) == 0 {
		r.dead = tombstone(1 + rnd.IntN(255))
		return r
	}
	for i := range rnd.IntN(8) {
		name := fmt.Sprintf("%03d%s", i, strings.Repeat("n", rnd.IntN(maxAttrNameLen-3)))
		data := make([]byte, rnd.IntN(30))
		for j := range data {
			data[j] = byte(rnd.Uint32())
		}
		r.attrs = append(r.attrs, attr{name, byte(rnd.Uint32()), data})
	}
	return r
}

// An older release that changes a session gives back the frames of a newer
// one byte for byte.
func TestRecordKeepsUnknownFrames(t *testing.T) {
	newer := (&record{base: testBase, attrs: []attr{{"a", 1, []byte("x")}}}).appendTo(nil)
	unknown := []byte{6, 3, 'a', 'b', 'c', 77, 0, 255, 1, 'z'}
	r, err := parseRecord(append(newer, unknown...))
	if err != nil {
		t.Fatal(err)
	}
	r.attrs = append(r.attrs, attr{"b", 1, []byte("y")})
	if got := r.appendTo(nil); !bytes.HasSuffix(got, unknown) || bytes.Count(got, unknown) != 1 {
		t.Errorf("rewritten as %x, want the frames %x at the end", got, unknown)
	}
}

// SR-45, BIN-04, BIN-05: whatever lies under our key, parseRecord says what it is and does not
// panic.
func TestSR45_GarbageIsNoRecord(t *testing.T) {
	good := (&record{base: testBase, created: ms(1), nonces: nonces{7}, attrs: []attr{{"a", 1, []byte("x")}, {"b", 1, nil}}}).appendTo(nil)
	head := good[:2+2+baseLen+4]
	frames := func(more ...byte) []byte { return append(bytes.Clone(head), more...) }
	type garbage struct {
		name string
		data []byte
		want error
	}
	cases := []garbage{
		{"nothing", nil, errNotRecord},
		{"MSM's ping value", []byte{1}, errNotRecord},
		{"mark alone", []byte{formatMark}, errNotRecord},
		{"format 0", []byte{formatMark, 0}, errNotRecord},
		{"no frames", []byte{formatMark, formatPlain}, errNotRecord},
		{"sealed", []byte{formatMark, formatSealed, 1, 2, 3}, errNotRecord},
		{"a newer format", []byte{formatMark, formatSealed + 1}, errNewerFormat},
		{"the newest format", append([]byte{formatMark, 255}, good...), errNewerFormat},
		{"JSON", []byte(`{"user":1}`), errNotRecord},
		{"text", []byte("locked"), errNotRecord},
		{"gzip", []byte{0x1f, 0x8b, 8, 0}, errNotRecord},
		{"Java stream", []byte{0xac, 0xed, 0, 5}, errNotRecord},
		{"MSM's header", []byte{0, 2, 0, 0x5b, 0, 0}, errNotRecord},
		{"no head", []byte{formatMark, formatPlain, frameEnd, 1, 1}, errNotRecord},
		{"two heads", append(bytes.Clone(head), head[2:]...), errNotRecord},
		{"frame 0", frames(0, 0), errNotRecord},
		{"frames out of order", frames(frameEnd, 1, 1, frameNonces, 8, 0, 0, 0, 0, 0, 0, 0, 1), errNotRecord},
		{"frame after unknown ones", frames(9, 0, frameAttr, 3, 1, 1, 'a'), errNotRecord},
		{"two ends", frames(frameEnd, 1, 1, frameEnd, 1, 1), errNotRecord},
		{"end that is none", frames(frameEnd, 1, 0), errNotRecord},
		{"empty end", frames(frameEnd, 0), errNotRecord},
		{"no place", frames(framePlace, 0), errNotRecord},
		{"node id that is none", frames(framePlace, 1, '-'), errNotRecord},
		{"second node id that is none", frames(framePlace, 3, 'n', ',', '-'), errNotRecord},
		{"second node without the first", frames(framePlace, 2, ',', 'n'), errNotRecord},
		{"comma without a second node", frames(framePlace, 2, 'n', ','), errNotRecord},
		{"attribute of the dead", frames(frameEnd, 1, 1, frameAttr, 3, 1, 1, 'a'), errNotRecord},
		{"no nonces", frames(frameNonces, 0), errNotRecord},
		{"half a nonce", frames(frameNonces, 4, 0, 0, 0, 1), errNotRecord},
		{"last nonce 0", frames(frameNonces, 8, 0, 0, 0, 0, 0, 0, 0, 0), errNotRecord},
		{"129 nonces", frames(append([]byte{frameNonces, 0x88, 8}, bytes.Repeat([]byte{1}, 1032)...)...), errNotRecord},
		{"the second nonce is 0", frames(append([]byte{frameNonces, 16}, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)...), errNotRecord},
		{"attribute without name", frames(frameAttr, 2, 1, 0), errNotRecord},
		{"attribute without anything", frames(frameAttr, 0), errNotRecord},
		{"name beyond the frame", frames(frameAttr, 3, 1, 9, 'a'), errNotRecord},
		{"name too long", frames(append([]byte{frameAttr, 67, 1, 65}, bytes.Repeat([]byte("n"), 65)...)...), errNotRecord},
		{"names out of order", frames(frameAttr, 3, 1, 1, 'b', frameAttr, 3, 1, 1, 'a'), errNotRecord},
		{"name twice", frames(frameAttr, 3, 1, 1, 'a', frameAttr, 3, 1, 1, 'a'), errNotRecord},
		{"length beyond the value", frames(9, 5, 1), errNotRecord},
		{"endless length", frames(9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), errNotRecord},
		{"largest length", frames(9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), errNotRecord},
		{"length in a longer form", frames(9, 0x81, 0, 'x'), errNotRecord},
		{"id in upper case", bytes.Replace(good, []byte(testBase), []byte(strings.ToUpper(testBase)), 1), errNotRecord},
		{"too many attributes", frames(bytes.Repeat([]byte{frameAttr, 3, 1, 1, 'a'}, maxAttrs+1)...), errNotRecord},
		{"year 10000", headOf(maxMillis+1, 0), errNotRecord},
		{"overflowing duration", headOf(0, math.MaxUint64), errNotRecord},
	}
	for n := range good {
		// Where a frame ends, a value cut short is a smaller record: memcached
		// stores whole values, and ValueKeys tell.
		if n != len(head) && n != len(head)+1 && n != len(good)-5 && n != len(good)-11 {
			cases = append(cases, garbage{fmt.Sprintf("cut after %d bytes", n), good[:n], errNotRecord})
		}
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r, err := parseRecord(tc.data)
			if !errors.Is(err, tc.want) || r != nil {
				t.Errorf("parseRecord(%x) = %+v, %v; want %v", tc.data, r, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), testBase) {
				t.Errorf("the error %q names the session", err)
			}
		})
	}
}

// headOf is a record that is only a head, of any numbers.
func headOf(created, maxInactive uint64) []byte {
	h := append([]byte{formatMark, formatPlain, frameHead, 0}, testBase...)
	h = appendUvarints(h, created, 0, maxInactive, 0)
	h[3] = byte(len(h) - 4)
	return h
}

func appendUvarints(dst []byte, values ...uint64) []byte {
	for _, v := range values {
		for ; v >= 0x80; v >>= 7 {
			dst = append(dst, byte(v)|0x80)
		}
		dst = append(dst, byte(v))
	}
	return dst
}

// FuzzParseRecord: what is accepted is written back byte for byte.
func FuzzParseRecord(f *testing.F) {
	for _, tc := range recordCases {
		f.Add(tc.record.appendTo(nil))
	}
	f.Add(headOf(maxMillis, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		original := bytes.Clone(data)
		r, err := parseRecord(data)
		if err != nil {
			if r != nil || !errors.Is(err, errNotRecord) && !errors.Is(err, errNewerFormat) {
				t.Fatalf("parseRecord = %v, %v", r, err)
			}
			return
		}
		if got := r.appendTo(nil); !bytes.Equal(got, original) {
			t.Fatalf("accepted %x, written back as %x", original, got)
		}
	})
}

// allocated returns the bytes that one run of f allocates.
func allocated(f func()) uint64 {
	const runs = 20
	f()
	before := heapAllocated()
	for range runs {
		f()
	}
	return (heapAllocated() - before) / runs
}

// heapAllocated returns the bytes allocated since the process started.
func heapAllocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// SR-40: no value makes the parser allocate more than 8 times its length and
// a constant.
func TestSR40_RecordAllocationIsBounded(t *testing.T) {
	head := (&record{base: testBase}).appendTo(nil)
	most := bytes.Clone(head)
	for i := range maxAttrs {
		most = append(most, frameAttr, 4, 1, 2, byte(i/200+1), byte(i%200+1))
	}
	for _, tc := range []struct {
		name string
		data []byte
	}{
		{"many small attributes", most},
		{"65,536 frames of attributes", append(bytes.Clone(head), bytes.Repeat([]byte{frameAttr, 3, 1, 1, 'a'}, 1<<16)...)},
		{"65,536 unknown frames", append(bytes.Clone(head), bytes.Repeat([]byte{9, 0}, 1<<16)...)},
		{"a length of 2^63", append(bytes.Clone(head), 9, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1)},
		{"attribute of 1 MiB", (&record{base: testBase, attrs: []attr{{"a", 1, make([]byte, 1<<20)}}}).appendTo(nil)},
	} {
		const constant = 32 << 10 // the table of 256 attributes, their names, and what -race adds
		got := allocated(func() { parseRecord(tc.data) })
		if limit := uint64(8*len(tc.data) + constant); got > limit {
			t.Errorf("%s: %d bytes allocated for %d, want at most %d", tc.name, got, len(tc.data), limit)
		}
		if got > constant {
			t.Errorf("%s: %d bytes allocated, want no more than the table of attributes takes", tc.name, got)
		}
	}
}

func TestCheckAttrName(t *testing.T) {
	for name, ok := range map[string]bool{"": false, "a": true, strings.Repeat("n", 64): true, strings.Repeat("n", 65): false} {
		if err := checkAttrName(name); (err == nil) != ok {
			t.Errorf("checkAttrName of %d bytes = %v, want accepted: %v", len(name), err, ok)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	r := &record{base: testBase, created: ms(1500000000000), accessed: ms(1500000001000), maxInactive: time.Hour, nonces: nonces{1, 2, 3, 4, 5, 6, 7, 8}}
	for i := range 15 {
		r.attrs = append(r.attrs, attr{fmt.Sprintf("attribute%02d", i), 1, make([]byte, 100)})
	}
	data := r.appendTo(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.appendTo(nil)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parseRecord(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
