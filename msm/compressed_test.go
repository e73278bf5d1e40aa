package msm

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

var compressions = []struct {
	name   string
	method Compression
	mark   byte
}{
	{"zstd", Zstd, packedZstd},
	{"s2", S2, packedS2},
	{"gzip", Gzip, packedGzip},
}

// typical is text that compresses about as well as session data does.
func typical(n int) string {
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, `{"article":%d,"title":"item %x","price":%d.99},`, rnd.IntN(1000), rnd.Uint32(), rnd.IntN(100))
	}
	return b.String()[:n]
}

func TestCompressedRoundTrip(t *testing.T) {
	text := typical(maxDecodedSize)
	for _, c := range compressions {
		tr := Compressed(Compact, c.method, 100)
		for _, tc := range []struct {
			name, v string
			mark    byte
		}{
			{"empty", "", packedRaw},
			{"below min", text[:98], packedRaw},
			{"above min", strings.Repeat("ab", 100), c.mark},
			{"typical", text[:10_000], c.mark},
			{"nothing to save", string(randomBytes(5000)), packedRaw},
			{"saves less than a tenth", string(randomBytes(4900)) + strings.Repeat("a", 100), packedRaw},
			{"largest", text[:maxDecodedSize-1], c.mark},
			{"small bomb", strings.Repeat("a", freeRatioSize-1), c.mark},
		} {
			data, err := tr.Encode(tc.v)
			if err != nil {
				t.Errorf("%s, %s: Encode = %v", c.name, tc.name, err)
				continue
			}
			if data[0] != tc.mark {
				t.Errorf("%s, %s: stored with mark %d, want %d", c.name, tc.name, data[0], tc.mark)
			}
			if tc.mark == packedRaw && len(data) != 2+len(tc.v) {
				t.Errorf("%s, %s: %d bytes stored for %d, want 2 more", c.name, tc.name, len(data), len(tc.v))
			}
			for _, reader := range []Transcoder{tr, Compressed(Compact, (c.method+1)%3, 0)} {
				var got string
				if err := reader.Decode(data, &got); err != nil || got != tc.v {
					t.Errorf("%s, %s: Decode = %d bytes, %v; want %d", c.name, tc.name, len(got), err, len(tc.v))
				}
			}
		}
		// What no Decode would take, Encode does not let out compressed.
		for _, n := range []int{freeRatioSize, 1 << 20} {
			v := strings.Repeat("a", n)
			data, err := tr.Encode(v)
			var got string
			if err != nil || tr.Decode(data, &got) != nil || got != v {
				t.Errorf("%s: %d times a letter does not come back (%v)", c.name, n, err)
			}
		}
		if _, err := tr.Encode(text); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: Encode of more than 4 MiB = %v, want ErrTooLarge", c.name, err)
		}
	}
}

func randomBytes(n int) []byte {
	rnd := rand.New(rand.NewPCG(2, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func TestCompressedOfNilAndOfItself(t *testing.T) {
	data, err := Compressed(nil, S2, 1000).Encode("x")
	if err != nil || string(data) != "\x00\"x\"" {
		t.Errorf("Compressed(nil) encodes %q, %v; want JSON", data, err)
	}
	twice := Compressed(Compressed(Compact, Gzip, 0), S2, 0)
	data, err = twice.Encode(typical(1000))
	if err != nil || data[0] != packedS2 {
		t.Fatalf("Compressed twice: %.10q, %v; want S2 once", data, err)
	}
	var got string
	if err := Compressed(Compact, Zstd, 0).Decode(data, &got); err != nil || got != typical(1000) {
		t.Errorf("Compressed twice does not come back: %v", err)
	}
	if _, err := Compressed(JSON, 7, 0).Encode("x"); err == nil || !strings.Contains(err.Error(), "Zstd, S2 or Gzip") {
		t.Errorf("an unknown method = %v, want an error that names the known ones", err)
	}
	if _, err := Compressed(JSON, Zstd, 0).Encode(make(chan int)); err == nil {
		t.Error("Encode of a channel = nil, want the inner transcoder's error")
	}
}

// SR-39: a bomb is refused before, or allocates at most what is allowed.
func TestSR39_Bombs(t *testing.T) {
	zeros := make([]byte, 6<<20)
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var unsized bytes.Buffer // a frame that does not tell its size
	stream, err := zstd.NewWriter(&unsized)
	if err != nil {
		t.Fatal(err)
	}
	stream.Write(zeros)
	stream.Close()
	zip := func(n int) []byte {
		var out bytes.Buffer
		w := stdgzip.NewWriter(&out)
		w.Write(zeros[:n])
		w.Close()
		return out.Bytes()
	}
	lying := zip(6 << 20)
	binary.LittleEndian.PutUint32(lying[len(lying)-4:], 1000)
	small, large := encoder.EncodeAll([]byte("small"), nil), encoder.EncodeAll(zeros[:4<<20], nil)
	padded := append(encoder.EncodeAll(randomBytes(50_000), nil), encoder.EncodeAll(zeros[:3<<20], nil)...)
	for _, tc := range []struct {
		name string
		mark byte
		data []byte
		want error
	}{
		{"zstd of 6 MiB", packedZstd, encoder.EncodeAll(zeros, nil), errBomb},
		{"zstd of 4 MiB in a few bytes", packedZstd, large, errBomb},
		{"zstd without size", packedZstd, unsized.Bytes(), errUnpack},
		{"a second frame", packedZstd, append(bytes.Clone(small), large...), errUnpack},
		{"a second frame within the ratio", packedZstd, padded, errUnpack},
		{"a skippable frame first", packedZstd, append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, large...), errUnpack},
		{"zstd cut short", packedZstd, large[:len(large)-1], errAny},
		{"s2 of 6 MiB", packedS2, s2.Encode(nil, zeros), errBomb},
		{"s2 of 4 MiB in a few bytes", packedS2, s2.Encode(nil, zeros[:4<<20]), errBomb},
		{"s2 that lies", packedS2, append(binary.AppendUvarint(nil, 60_000), 0), errUnpack},
		{"gzip of 6 MiB", packedGzip, zip(6 << 20), errBomb},
		{"gzip of 6 MiB that says 1000 bytes", packedGzip, lying, errUnpack},
		{"gzip of 100 bytes that says 60,000", packedGzip, append(zip(100)[:len(zip(100))-4], 0x60, 0xea, 0, 0), errUnpack},
		{"gzip with a wrong checksum", packedGzip, wrongChecksum(zip(100)), errUnpack},
		{"two gzip members", packedGzip, append(zip(100), zip(100)...), errUnpack},
		{"bytes after gzip", packedGzip, append(append(zip(100), 0), 100, 0, 0, 0), errUnpack},
		{"unknown mark", 4, []byte("x"), errUnpack},
		{"empty zstd", packedZstd, nil, errUnpack},
		{"empty s2", packedS2, nil, errUnpack},
		{"empty gzip", packedGzip, nil, errUnpack},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := newUnpacker()
			data := append([]byte{tc.mark}, tc.data...)
			var err error
			got := allocated(func() { _, err = u.unpack(data) })
			if err == nil || tc.want != errAny && !errors.Is(err, tc.want) {
				t.Errorf("unpack = %v, want %v", err, tc.want)
			}
			if limit := uint64(maxDecodedSize + 64<<10); got > limit {
				t.Errorf("%d bytes allocated, want at most %d", got, limit)
			}
			if errors.Is(tc.want, errBomb) && got > 4<<10 {
				t.Errorf("%d bytes allocated to refuse it, want none to speak of", got)
			}
		})
	}
	if _, err := newUnpacker().unpack(nil); !errors.Is(err, errUnpack) {
		t.Errorf("unpack of nothing = %v, want errUnpack", err)
	}
}

func wrongChecksum(data []byte) []byte {
	sum := data[len(data)-8 : len(data)-4]
	binary.LittleEndian.PutUint32(sum, crc32.ChecksumIEEE([]byte("something else")))
	return data
}

// Every manager reads what every other one has written, whatever the two are
// configured for.
func TestCodecsReadEachOther(t *testing.T) {
	all := []Transcoder{JSON, Gob, XML, Compact, Compressed(JSON, Zstd, 0), Compressed(Gob, S2, 0), Compressed(XML, Gzip, 0), Compressed(Compact, Zstd, 1<<20)}
	want := []string{typical(300), "b"}
	marks := make(map[byte]int)
	for i, writer := range all {
		mark, data, err := newCodecs(writer).encode(want)
		if err != nil {
			t.Fatalf("transcoder %d: %v", i, err)
		}
		marks[mark]++
		for j, reader := range all {
			var got []string
			if err := newCodecs(reader).decode(mark, data, &got); err != nil || len(got) != 2 || got[0] != want[0] {
				t.Errorf("written by %d, read by %d: %d strings, %v", i, j, len(got), err)
			}
		}
	}
	if len(marks) != len(all) {
		t.Errorf("%d marks for %d transcoders", len(marks), len(all))
	}
}

// upper is somebody's own Transcoder.
type upper struct{}

func (upper) Encode(v any) ([]byte, error) { return []byte(strings.ToUpper(v.(string))), nil }
func (upper) Decode(data []byte, into any) error {
	*into.(*string) = strings.ToLower(string(data))
	return nil
}

func TestCodecsOfOnesOwn(t *testing.T) {
	own, packed, json := newCodecs(upper{}), newCodecs(Compressed(upper{}, S2, 0)), newCodecs(nil)
	v := strings.Repeat("a", 100)
	for _, writer := range []codecs{own, packed} {
		mark, data, err := writer.encode(v)
		if err != nil {
			t.Fatal(err)
		}
		for name, reader := range map[string]codecs{"plain": own, "compressed": packed} {
			var got string
			if err := reader.decode(mark, data, &got); err != nil || got != v {
				t.Errorf("%s reads %q, %v from mark %d; want %q", name, got, err, mark, v)
			}
		}
		if err := json.decode(mark, data, new(string)); err == nil || !strings.Contains(err.Error(), "not configured") {
			t.Errorf("without that transcoder: %v, want an error that says so", err)
		}
	}
	if err := json.decode(99, nil, new(string)); err == nil {
		t.Error("an unknown mark was decoded")
	}
}

func TestCompressedIsSafeForConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for _, c := range compressions {
		tr := Compressed(JSON, c.method, 0)
		for i := range 4 {
			wg.Go(func() {
				for n := range 50 {
					want := typical(100*n + i)
					data, err := tr.Encode(want)
					var got string
					if err != nil || tr.Decode(data, &got) != nil || got != want {
						t.Errorf("%s: %d bytes do not come back", c.name, len(want))
					}
				}
			})
		}
	}
	wg.Wait()
}

// Compressing costs no allocation beyond the result.
func TestCompressionAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops coders under the race detector")
	}
	plain := []byte(typical(10_000))
	for _, c := range compressions {
		p := newPacker()
		packed, err := p.pack(c.method, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got := testing.AllocsPerRun(100, func() { p.pack(c.method, plain) }); got > 1 {
			t.Errorf("%s: packing 10 KB costs %v allocations, want 1", c.name, got)
		}
		u := newUnpacker()
		if got := testing.AllocsPerRun(100, func() { u.unpack(packed) }); got > 1 {
			t.Errorf("%s: unpacking costs %v allocations, want 1", c.name, got)
		}
	}
}

// FuzzUnpack: nothing unpacks to more than it may, and what unpacks can be
// packed and unpacked again.
func FuzzUnpack(f *testing.F) {
	p := newPacker()
	for _, c := range compressions {
		data, err := p.pack(c.method, []byte(typical(2000)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{packedRaw, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		// Coders remember what they have packed before, and so would go other ways
		// for the same data: the fuzzer would try for minutes to make an input
		// smaller whose coverage never comes again.
		p, u := newPacker(), newUnpacker()
		plain, err := u.unpack(data)
		if err != nil {
			return
		}
		if !unpackable(uint64(len(data)), uint64(len(plain))) {
			t.Fatalf("%d bytes became %d", len(data), len(plain))
		}
		for _, c := range compressions {
			packed, err := p.pack(c.method, plain)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := u.unpack(packed); err != nil || !bytes.Equal(again, plain) {
				t.Fatalf("%s: %x does not come back: %v", c.name, plain, err)
			}
		}
	})
}

func BenchmarkPack(b *testing.B) {
	plain := []byte(typical(10_000))
	for _, c := range compressions {
		p, u := newPacker(), newUnpacker()
		packed, err := p.pack(c.method, plain)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%s/pack-to-%d", c.name, len(packed)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.pack(c.method, plain)
			}
		})
		b.Run(c.name+"/unpack", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				u.unpack(packed)
			}
		})
	}
}
