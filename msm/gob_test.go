package msm

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

type gobNode struct {
	Name string
	Next *gobNode
}

type gobMany struct {
	B      bool
	I      int8
	U      uint64
	F      float32
	C      complex128
	S      string
	Bytes  []byte
	Array  [3]int
	Slice  []gobNode
	Map    map[int]map[string][]float64
	Struct struct{ X, Y *int }
	Time   time.Time
	Big    *big.Int
	Empty  struct{ A int }
	hidden any
}

func TestGobRoundTrip(t *testing.T) {
	seven := 7
	for _, v := range []any{
		true, -5, int8(-128), uint64(math.MaxUint64), 1.5, float32(0), complex(1, -2), "", "text", []byte("bytes"), []byte{},
		[]string{"a", "", "c"}, [2]bool{true, false}, map[string]int{"a": 1, "": 0}, map[string]int{}, map[[2]int]string{{1, 2}: "x"},
		[][]map[string]int{{{"a": 1}}, nil, {nil, {}}},
		time.Unix(1, 2).UTC(), struct{ A int }{0}, struct{ A int }{1}, []struct{ A int }{{0}, {1}, {0}},
		gobNode{"a", &gobNode{"b", nil}},
		gobMany{true, -1, 1 << 60, 1.25, 2i, "s", []byte{1}, [3]int{1, 0, 3}, []gobNode{{"x", nil}, {}}, map[int]map[string][]float64{-1: {"a": {1, 2}}},
			struct{ X, Y *int }{nil, &seven}, time.Unix(5, 0).UTC(), big.NewInt(-77), struct{ A int }{}, nil},
	} {
		data, err := Gob.Encode(v)
		if err != nil {
			t.Errorf("Encode(%#v) = %v", v, err)
			continue
		}
		into := reflect.New(reflect.TypeOf(v))
		if err := Gob.Decode(data, into.Interface()); err != nil {
			t.Errorf("Decode of %#v = %v", v, err)
			continue
		}
		want := reflect.New(reflect.TypeOf(v)) // what encoding/gob alone makes of it
		if err := gob.NewDecoder(bytes.NewReader(data)).DecodeValue(want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(into.Elem().Interface(), want.Elem().Interface()) {
			t.Errorf("Decode of %#v = %#v, encoding/gob gives %#v", v, into.Elem(), want.Elem())
		}
	}
	if _, err := Gob.Encode(longList(maxDecodedDepth + 1)); err == nil {
		t.Error("Encode of a list of 65 nodes = nil, want an error")
	}
	if _, err := Gob.Encode(make([]byte, maxDecodedSize)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Encode of more than 4 MiB = %v, want ErrTooLarge", err)
	}
	if _, err := Gob.Encode(nil); err == nil {
		t.Error("Encode(nil) = nil, want an error")
	}
}

// SR-41: gob runs under limits of its own. It needs no ValueKeys for that:
// nothing reaches encoding/gob that it would allocate for without having read.
func TestSR41_GobAttacks(t *testing.T) {
	// An empty map[string]string, and the same with 2^20 for its length.
	honest := mustHex(t, "0d7f040102ff8000010c010c0000"+"04ff80"+"00"+"00")
	attack := mustHex(t, "0d7f040102ff8000010c010c0000"+"07ff80"+"00"+"fd100000")
	var into map[string]string
	before := heapAllocated()
	if err := gob.NewDecoder(bytes.NewReader(attack)).Decode(&into); err == nil || heapAllocated()-before < 10<<20 {
		t.Errorf("encoding/gob: %v after %d bytes allocated; if it counts now, checkGob may go", err, heapAllocated()-before)
	}

	nested := gobNode{}
	for range maxDecodedDepth {
		nested = gobNode{"x", &gobNode{nested.Name, nested.Next}}
	}
	var deep bytes.Buffer
	if err := gob.NewEncoder(&deep).Encode(nested); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name, reason string
		data         []byte
	}{
		{"map count", "entries that are not there", attack},
		{"depth", "65 nodes in a list", deep.Bytes()},
		{"nothing", "no value", nil},
		{"trailing value", "two values are none", append(bytes.Clone(honest), honest...)},
		{"trailing byte", "likewise", append(bytes.Clone(honest), 0)},
		{"size", "more than 4 MiB", make([]byte, maxDecodedSize+1)},
	} {
		var err error
		got := allocated(func() { err = Gob.Decode(tc.data, &into) })
		if err == nil || got > 64<<10 {
			t.Errorf("%s: Decode = %v after %d bytes allocated, want an error before 64 KiB: %s", tc.name, err, got, tc.reason)
		}
	}
	if err := Gob.Decode(honest, &into); err != nil {
		t.Errorf("Decode of an empty map = %v, want nil", err)
	}
	for n := range honest {
		if err := Gob.Decode(honest[:n], &into); err == nil {
			t.Errorf("cut after %d bytes: Decode = nil, want an error", n)
		}
	}
}

// SR-43: with an interface inside, the bytes would choose among all registered
// types.
func TestSR43_GobRefusesInterfaces(t *testing.T) {
	type inside struct{ V []map[string]*any }
	for _, v := range []any{new(any), new([]any), new(map[string]any), new(inside), new(error), &[]inside{}} {
		if _, err := Gob.Encode(v); err == nil || !strings.Contains(err.Error(), "interface") {
			t.Errorf("Encode(%T) = %v, want an error that tells of the interface", v, err)
		}
		if err := Gob.Decode([]byte{3, 4, 0, 2}, v); err == nil || !strings.Contains(err.Error(), "interface") {
			t.Errorf("Decode into %T = %v, want an error that tells of the interface", v, err)
		}
	}
	// And the other side of the same: an interface in the bytes.
	var data bytes.Buffer
	type out struct {
		A int
		V any
	}
	if err := gob.NewEncoder(&data).Encode(out{1, "x"}); err != nil {
		t.Fatal(err)
	}
	var into struct{ A int }
	if err := Gob.Decode(data.Bytes(), &into); !errors.Is(err, errGob) {
		t.Errorf("Decode of an interface value = %v, want errGob", err)
	}
}

func mustHex(t *testing.T, s string) []byte {
	t.Helper()
	data, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGobIgnoresFieldsOfNewerReleases(t *testing.T) {
	data, err := Gob.Encode(gobMany{S: "kept", Slice: []gobNode{{"x", nil}}})
	if err != nil {
		t.Fatal(err)
	}
	var into struct{ S string }
	if err := Gob.Decode(data, &into); err != nil || into.S != "kept" {
		t.Errorf("Decode = %+v, %v; want the field that both have", into, err)
	}
}

// FuzzGob: what the check lets pass does not make encoding/gob allocate out of
// proportion, and what encoding/gob writes passes.
func FuzzGob(f *testing.F) {
	f.Add([]byte("\x0d\x7f\x04\x01\x02\xff\x80\x00\x01\x0c\x01\x0c\x00\x00\x07\xff\x80\x00\xfd\x10\x00\x00")) // see TestSR41
	for _, v := range []any{gobMany{I: 1, S: "s", Map: map[int]map[string][]float64{1: {"a": {1}}}, Time: time.Unix(1, 0)}, gobNode{"a", &gobNode{"b", nil}}, map[string]string{"a": "b"}, []string{"a"}, 5} {
		data, err := Gob.Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, target := range []func() any{
			func() any { return new(gobMany) },
			func() any { return new(map[string]string) },
			func() any { return new([][]byte) },
		} {
			into := target()
			before := heapAllocated()
			err := Gob.Decode(data, into)
			if got, limit := heapAllocated()-before, uint64(1<<20+200*len(data)); got > limit {
				t.Fatalf("Decode of %d bytes into %T allocated %d, want at most %d", len(data), into, got, limit)
			}
			if err != nil {
				continue
			}
			again, err := Gob.Encode(reflect.ValueOf(into).Elem().Interface())
			if err != nil {
				t.Fatalf("Decode gave %#v, which cannot be encoded: %v", into, err)
			}
			second := target()
			if err := Gob.Decode(again, second); err != nil {
				t.Fatalf("%#v, encoded again, cannot be decoded: %v", into, err)
			}
		}
	})
}

func BenchmarkGobTypeCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		checkGobType(reflect.TypeFor[gobMany]())
	}
}
