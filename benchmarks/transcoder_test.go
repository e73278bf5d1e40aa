package main_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/seed99545744/msm/msm"
)

// Transcoders of package msm, with and without compression, beside the encoders
// that they stand on or compete with, which check nothing.
//
//	go test -run '^$' -bench Transcoders .

// shopItem is a line of a shopping cart.
type shopItem struct {
	Article int
	Title   string
	Price   float64
}

// shopCart has a type of its own, as applications have it.
type shopCart []shopItem

// shopToken has bytes in a struct: those alone are nothing for XML.
type shopToken struct{ Nonce []byte }

// shopSession is what an online shop keeps: 15 attributes, most of them small.
func shopSession() []any {
	cart := make(shopCart, 20)
	for i := range cart {
		cart[i] = shopItem{1000 + i, fmt.Sprintf("article number %d", i), float64(i) + 0.99}
	}
	return []any{
		"jo@example.com", 4711, true, time.Unix(1500000000, 0).UTC(), "de-DE", "EUR", 3, false, shopToken{[]byte("0123456789abcdef")},
		[]string{"admin", "editor"}, cart, cart[0], 1.5, "/checkout/address", time.Unix(1600000000, 0).UTC(),
	}
}

// plain is an encoder as it comes.
type plain struct {
	encode func(any) ([]byte, error)
	decode func([]byte, any) error
}

func (p plain) Encode(v any) ([]byte, error)       { return p.encode(v) }
func (p plain) Decode(data []byte, into any) error { return p.decode(data, into) }

// plainGob has an encoder for every value, as attributes need it: each is
// decoded by itself.
var plainGob = plain{func(v any) ([]byte, error) {
	var out bytes.Buffer
	err := gob.NewEncoder(&out).Encode(v)
	return out.Bytes(), err
}, func(data []byte, into any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(into) }}

// encoder is a contender.
type encoder struct {
	name string
	msm.Transcoder
}

// encoders are all of them. Values of less than 512 bytes are not compressed.
func encoders() []encoder {
	all := []encoder{
		{"encoding/json", plain{json.Marshal, json.Unmarshal}},
		{"encoding/gob", plainGob},
		{"vmihailenco/msgpack", plain{msgpack.Marshal, msgpack.Unmarshal}},
	}
	for _, t := range []encoder{{"JSON", msm.JSON}, {"Gob", msm.Gob}, {"XML", msm.XML}, {"Compact", msm.Compact}} {
		all = append(all, t)
		for _, c := range []struct {
			name string
			how  msm.Compression
		}{{"zstd", msm.Zstd}, {"S2", msm.S2}, {"gzip", msm.Gzip}} {
			all = append(all, encoder{t.name + "+" + c.name, msm.Compressed(t.Transcoder, c.how, 512)})
		}
	}
	return all
}

// encodeAll encodes a session, attribute by attribute.
func encodeAll(tb testing.TB, e encoder, attrs []any) (stored [][]byte, size int) {
	tb.Helper()
	for _, v := range attrs {
		data, err := e.Encode(v)
		if err != nil {
			tb.Fatalf("%s: %T: %v", e.name, v, err)
		}
		stored, size = append(stored, data), size+len(data)
	}
	return stored, size
}

// What is compared does the same: all that goes in comes out.
func TestTranscodersRoundTrip(t *testing.T) {
	attrs := shopSession()
	for _, e := range encoders() {
		stored, _ := encodeAll(t, e, attrs)
		for i, want := range attrs {
			got := reflect.New(reflect.TypeOf(want))
			if err := e.Decode(stored[i], got.Interface()); err != nil {
				t.Errorf("%s: %T: %v", e.name, want, err)
			} else if diff := cmp.Diff(want, got.Elem().Interface()); diff != "" {
				t.Errorf("%s: %T differs (-want +got):\n%s", e.name, want, diff)
			}
		}
	}
}

func BenchmarkTranscoders(b *testing.B) {
	attrs := shopSession()
	for _, e := range encoders() {
		stored, size := encodeAll(b, e, attrs)
		b.Run(e.name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, v := range attrs {
					e.Encode(v)
				}
			}
			b.ReportMetric(float64(size), "stored-bytes")
		})
		b.Run(e.name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for i, v := range attrs {
					if err := e.Decode(stored[i], reflect.New(reflect.TypeOf(v)).Interface()); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
