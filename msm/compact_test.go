package msm

import (
	"bytes"
	"encoding/hex"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type (
	namedInt    int16
	namedString string
	namedBytes  []byte
	namedByte   byte
	// ptrBinary has its own form by pointer only.
	ptrBinary struct{ a, b byte }
)

func (p *ptrBinary) MarshalBinary() ([]byte, error)    { return []byte{p.a, p.b}, nil }
func (p *ptrBinary) UnmarshalBinary(data []byte) error { p.a, p.b = data[0], data[1]; return nil }

func TestCompactForm(t *testing.T) {
	seven := 7
	for _, tc := range []struct {
		name string
		v    any
		want string // in hex
	}{
		{"false", false, "01"},
		{"true", true, "02"},
		{"zero", 0, "0300"},
		{"int", -1, "0301"},
		{"large int", math.MaxInt64, "03feffffffffffffffff01"},
		{"named int", namedInt(100), "03c801"},
		{"uint", uint8(200), "04c801"},
		{"uint64", uint64(math.MaxUint64), "04ffffffffffffffffff01"},
		{"float32", float32(1.5), "053fc00000"},
		{"float64", 1.5, "063ff8000000000000"},
		{"complex64", complex64(1 + 2i), "073ff00000000000004000000000000000"},
		{"string", "héllo", "08" + hex.EncodeToString([]byte("héllo"))},
		{"empty string", "", "08"},
		{"bytes", []byte{0, 255}, "0900ff"},
		{"empty bytes", []byte{}, "09"},
		{"nil bytes", []byte(nil), "00"},
		{"named bytes", namedBytes("x"), "0978"},
		{"bytes of a named type", []namedByte{1}, "0901"},
		{"time", time.Unix(1500000000, 5).UTC(), "0a80bcc1960b" + "05"},
		{"time with zone", time.Unix(-1, 0).In(time.FixedZone("", -3600)), "0a0100" + "9f38"},
		{"duration", time.Second, "0380a8d6b907"},
		{"own form", netip.MustParseAddr("1.2.3.4"), "0b01020304"},
		{"own form by pointer", ptrBinary{1, 2}, "0b0102"},
		{"pointer to own form", &ptrBinary{1, 2}, "0b0102"},
		{"pointer", &seven, "030e"},
		{"nil pointer", (*int)(nil), "00"},
		{"struct", struct{ A int }{1}, "0c" + hex.EncodeToString([]byte(`{"A":1}`))},
		{"slice", []int{1, 2}, "0c" + hex.EncodeToString([]byte(`[1,2]`))},
		{"array of bytes", [2]byte{1, 2}, "0c" + hex.EncodeToString([]byte(`[1,2]`))},
		{"map", map[string]bool{"a": true}, "0c" + hex.EncodeToString([]byte(`{"a":true}`))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data, err := Compact.Encode(tc.v)
			if err != nil || hex.EncodeToString(data) != tc.want {
				t.Fatalf("Encode(%#v) = %x, %v; want %s", tc.v, data, err, tc.want)
			}
			into := reflect.New(reflect.TypeOf(tc.v))
			if err := Compact.Decode(data, into.Interface()); err != nil {
				t.Fatalf("Decode: %v", err)
			}
			got := into.Elem().Interface()
			if diff := cmp.Diff(tc.v, got, cmp.AllowUnexported(ptrBinary{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompactTimesKeepTheirZone(t *testing.T) {
	for _, want := range []time.Time{
		time.Now(), time.Now().UTC(), time.Unix(0, 0), {}, time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Now().In(time.FixedZone("CEST", 7200)), time.Now().In(time.FixedZone("far", 72*3600)),
	} {
		data, err := Compact.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		var got time.Time
		if err := Compact.Decode(data, &got); err != nil || !got.Equal(want) {
			t.Errorf("%v came back as %v, %v", want, got, err)
		}
		_, wantOffset := want.Zone()
		if _, offset := got.Zone(); offset != wantOffset && wantOffset < maxZone {
			t.Errorf("%v came back with the offset %d", want, offset)
		}
	}
}

// The type may change between releases, the value may not.
func TestCompactConversions(t *testing.T) {
	five := 5
	for _, tc := range []struct {
		name string
		v    any
		into any
		want any // nil: an error
	}{
		{"wider", int8(-5), new(int64), int64(-5)},
		{"narrower", 5, new(int8), int8(5)},
		{"too narrow", 200, new(int8), nil},
		{"signed to unsigned", 5, new(uint8), uint8(5)},
		{"negative to unsigned", -5, new(uint8), nil},
		{"negative to uint64", -5, new(uint64), nil},
		{"unsigned to signed", uint(5), new(int8), int8(5)},
		{"too large for signed", uint64(math.MaxUint64), new(int64), nil},
		{"to a named type", 5, new(namedInt), namedInt(5)},
		{"string to a named type", "a", new(namedString), namedString("a")},
		{"float to wider", float32(0.5), new(float64), 0.5},
		{"float that fits", 0.5, new(float32), float32(0.5)},
		{"float that does not", 0.1, new(float32), nil},
		{"integer to float", 5, new(float64), nil},
		{"float to integer", 5.0, new(int), nil},
		{"complex that does not fit", complex(0.1, 0), new(complex64), nil},
		{"string to bytes", "a", new([]byte), nil},
		{"bytes to string", []byte("a"), new(string), nil},
		{"string to int", "5", new(int), nil},
		{"bool to int", true, new(int), nil},
		{"time to string", time.Unix(1, 0), new(string), nil},
		{"time to a struct", time.Unix(1, 0), new(struct{ A int }), nil},
		{"own form to a type without", netip.MustParseAddr("1.2.3.4"), new(string), nil},
		{"own form to any", netip.MustParseAddr("1.2.3.4"), new(any), nil},
		{"own form of another type", netip.MustParseAddr("1.2.3.4"), new(url.URL), nil},
		{"to any", "a", new(any), "a"},
		{"int to any", int8(5), new(any), int64(5)},
		{"to another interface", "a", new(error), nil},
		{"nil to a value", nil, new(int), 0},
		{"value to a pointer", 5, new(*int), &five},
		{"JSON out of range", []int{300}, new([]int8), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data, err := Compact.Encode(tc.v)
			if err != nil {
				t.Fatal(err)
			}
			err = Compact.Decode(data, tc.into)
			got := reflect.ValueOf(tc.into).Elem().Interface()
			if (err != nil) != (tc.want == nil) || err == nil && !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%#v into %T = %#v, %v; want %#v", tc.v, tc.into, got, err, tc.want)
			}
		})
	}
}

func TestCompactRefusesGarbage(t *testing.T) {
	for _, in := range []string{"", "0000", "0100", "0200", "03", "0380", "038000", "03ffffffffffffffffff02", "0300ff", "05000000", "0500000000ff", "06", "07", "0a", "0a00", "0a0080", "0a008094ebdc03", "0a000080", "0a000000ff", "0a0000ffffffff0f", "0c", "0c7b", "0d", "ff"} {
		data := mustHex(t, in)
		var got any
		if err := Compact.Decode(data, &got); err == nil {
			t.Errorf("Decode(%s) = %#v, want an error", in, got)
		}
	}
	for _, into := range []any{nil, 5, (*int)(nil)} {
		if err := Compact.Decode([]byte{compactTrue}, into); err == nil || !strings.Contains(err.Error(), "pointer") {
			t.Errorf("Decode into %#v = %v, want an error that asks for a pointer", into, err)
		}
	}
}

// FuzzCompact: a scalar that is accepted is written back byte for byte.
func FuzzCompact(f *testing.F) {
	for _, v := range []any{nil, true, -77, uint(5), 1.5, float32(2), 1i, "a", []byte("b"), time.Unix(5, 6), time.Unix(5, 6).In(time.FixedZone("", 60)), map[string]int{"a": 1}} {
		data, err := Compact.Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{compactFloat32, 0xff, 0x80, 0x30, 0x30}) // a signalling NaN
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if Compact.Decode(data, &v) != nil || data[0] == compactJSON {
			return
		}
		if n, ok := v.(float32); ok && n != n {
			return // the processor makes a signalling NaN a quiet one
		}
		again, err := Compact.Encode(v)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x was read as %#v and written back as %x, %v", data, v, again, err)
		}
	})
}
