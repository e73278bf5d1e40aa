package msm

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"
)

type benchItem struct {
	Article int
	Title   string
	Price   float64
}

// shopSession is what an online shop keeps: 15 attributes, mostly small.
func shopSession() []any {
	cart := make([]benchItem, 20)
	for i := range cart {
		cart[i] = benchItem{1000 + i, fmt.Sprintf("article number %d", i), float64(i) + 0.99}
	}
	return []any{
		"jo@example.com", 4711, true, time.Unix(1500000000, 0).UTC(), "de-DE", "EUR", 3, false, []byte("0123456789abcdef"),
		[]string{"admin", "editor"}, cart, cart[0], 1.5, "/checkout/address", time.Unix(1600000000, 0).UTC(),
	}
}

type benchRaw struct {
	encode func(any) ([]byte, error)
	decode func([]byte, any) error
}

func (r benchRaw) Encode(v any) ([]byte, error)       { return r.encode(v) }
func (r benchRaw) Decode(data []byte, into any) error { return r.decode(data, into) }

// BenchmarkTranscoders encodes and decodes a whole session; plain-* is the
// standard library without our checks.
func BenchmarkTranscoders(b *testing.B) {
	plainGob := benchRaw{func(v any) ([]byte, error) {
		var out bytes.Buffer
		err := gob.NewEncoder(&out).Encode(v)
		return out.Bytes(), err
	}, func(data []byte, into any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(into) }}
	attrs := shopSession()
	for _, tc := range []struct {
		name string
		t    Transcoder
	}{
		{"plain-json", benchRaw{json.Marshal, json.Unmarshal}}, {"JSON", JSON},
		{"plain-gob", plainGob}, {"Gob", Gob}, {"Compact", Compact},
		{"JSON+zstd", Compressed(JSON, Zstd, 512)}, {"JSON+S2", Compressed(JSON, S2, 512)}, {"JSON+gzip", Compressed(JSON, Gzip, 512)},
		{"Compact+S2", Compressed(Compact, S2, 512)},
	} {
		stored, size := make([][]byte, len(attrs)), 0
		for i, v := range attrs {
			data, err := tc.t.Encode(v)
			if err != nil {
				b.Fatal(err)
			}
			stored[i], size = data, size+len(data)
		}
		b.Run(tc.name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, v := range attrs {
					tc.t.Encode(v)
				}
			}
			b.ReportMetric(float64(size), "stored-bytes")
		})
		b.Run(tc.name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for i, v := range attrs {
					if err := tc.t.Decode(stored[i], reflect.New(reflect.TypeOf(v)).Interface()); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
