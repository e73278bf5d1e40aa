package msm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type xmlItem struct {
	ID    int    `xml:"id,attr"`
	Name  string `xml:"name"`
	Price *float64
	Tags  []string `xml:"tags>tag"`
}

type xmlCart struct {
	XMLName xml.Name `xml:"cart"`
	Items   []xmlItem
	Raw     []byte
	When    time.Time
	Note    string         `xml:",comment"`
	Skipped map[string]any `xml:"-"`
}

func TestXMLRoundTrip(t *testing.T) {
	price := 1.5
	cart := xmlCart{XMLName: xml.Name{Local: "cart"}, Items: []xmlItem{{1, "a < b & \"c\" \r\n\t", &price, []string{"x", "", "z"}}, {}}, Raw: []byte("raw"), When: time.Unix(5, 6).UTC(), Note: " note "}
	for _, v := range []any{
		cart, &cart, true, -5, uint8(255), 1.25, "", " text ", "\ufffd is text", time.Unix(1, 2).UTC(),
		[]string{"a", "", "c"}, [2]int{1, 2}, []xmlItem{{1, "a", nil, nil}, {2, "b", nil, nil}}, []*xmlItem{{ID: 1}}, []string(nil), (*xmlItem)(nil), time.Duration(5),
	} {
		data, err := XML.Encode(v)
		if err != nil {
			t.Errorf("Encode(%+v) = %v", v, err)
			continue
		}
		into := reflect.New(reflect.TypeOf(v))
		if err := XML.Decode(data, into.Interface()); err != nil {
			t.Errorf("Decode of %s = %v", data, err)
			continue
		}
		if diff := cmp.Diff(v, into.Elem().Interface()); diff != "" {
			t.Errorf("%s, read back (-want +got):\n%s", data, diff)
		}
	}
}

func TestXMLRefusesWhatItWouldChange(t *testing.T) {
	for _, tc := range []struct {
		reason string
		v      any
	}{
		{"nil has no type", nil},
		{"65 nodes in a list", longList(maxDecodedDepth + 1)},
		{"a control character", "a\x00b"},
		{"not UTF-8", "\xff"},
		{"not a character of XML", "\uffff"},
		{"deep inside", xmlCart{Items: []xmlItem{{Tags: []string{"a\x01"}}}}},
		{"in bytes", &xmlCart{Raw: []byte{0}}},
		{"a map", map[string]int{"a": 1}},
		{"an interface would come back as nothing", struct{ V any }{1}},
		{"slices of slices run together", [][]string{{"a"}, {"b"}}},
		{"no name for the element", struct{ A int }{1}},
		{"no name for the element", []byte("x")},
		{"no form in XML", complex(1, 1)},
	} {
		if data, err := XML.Encode(tc.v); err == nil {
			t.Errorf("Encode(%#v) = %s, want an error: %s", tc.v, data, tc.reason)
		}
	}
}

type xmlNode struct{ Next *xmlNode }

func longList(n int) *xmlNode {
	var list *xmlNode
	for range n {
		list = &xmlNode{list}
	}
	return list
}

func TestXMLIsStrict(t *testing.T) {
	nested := strings.Repeat("<a>", maxDecodedDepth+1) + strings.Repeat("</a>", maxDecodedDepth+1)
	for _, tc := range []struct {
		name, in string
		into     any
		want     error // nil: accepted; errAny: any
	}{
		{"unknown element of a newer release", `<xmlItem id="1"><new><x/></new><name>a</name></xmlItem>`, new(xmlItem), nil},
		{"second value", `<int>1</int><int>2</int>`, new(int), errXMLTrailing},
		{"text after", `<int>1</int> `, new(int), errXMLTrailing},
		{"text before", `x<int>1</int>`, new(int), errXMLOutside},
		{"comment before", `<!-- --><int>1</int>`, new(int), errXMLOutside},
		{"document type", `<!DOCTYPE a [<!ENTITY b "c">]><string>&b;</string>`, new(string), errXMLOutside},
		{"unknown entity", `<string>&b;</string>`, new(string), errAny},
		{"declaration", `<?xml version="1.0"?><int>1</int>`, new(int), errXMLOutside},
		{"depth", nested, new(xmlItem), errXMLDepth},
		{"a million levels", strings.Repeat("<a>", 1<<20), new(xmlItem), errXMLDepth},
		{"nothing for a value", ``, new(int), io.EOF},
		{"too few for an array", `<int>1</int>`, new([2]int), io.EOF},
		{"too many for an array", `<int>1</int><int>1</int><int>1</int>`, new([2]int), errXMLTrailing},
		{"cut short", `<xmlItem><name>a</name>`, new(xmlItem), errAny},
		{"crossed", `<xmlItem><name>a</xmlItem></name>`, new(xmlItem), errAny},
		{"out of range", `<int8>128</int8>`, new(int8), errAny},
		{"no pointer", `<int>1</int>`, 5, errAny},
		{"nil pointer", `<int>1</int>`, (*int)(nil), errAny},
		{"an interface", `<int>1</int>`, new(any), errAny},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := XML.Decode([]byte(tc.in), tc.into)
			if tc.want == nil && err != nil || tc.want != nil && err == nil || tc.want != nil && tc.want != errAny && !errors.Is(err, tc.want) {
				t.Errorf("Decode(%.60s) = %v, want %v", tc.in, err, tc.want)
			}
		})
	}
}

// FuzzXML: what is read can be written, and read again to the same.
func FuzzXML(f *testing.F) {
	cart, err := XML.Encode(xmlCart{Items: []xmlItem{{1, "a<b", nil, []string{"x", ""}}}, Raw: []byte("r")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cart)
	f.Add([]byte(`<string>a&#xD;b</string><string></string>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, target := range []func() any{func() any { return new(xmlCart) }, func() any { return new([]string) }, func() any { return new(string) }} {
			first := target()
			if XML.Decode(data, first) != nil {
				continue
			}
			again, err := XML.Encode(reflect.ValueOf(first).Elem().Interface())
			if err != nil {
				continue // a comment with -- or an attribute that XML cannot carry
			}
			second := target()
			if err := XML.Decode(again, second); err != nil {
				t.Fatalf("%q became %q, which cannot be read: %v", data, again, err)
			}
			third, err := XML.Encode(reflect.ValueOf(second).Elem().Interface())
			if err != nil || !bytes.Equal(third, again) {
				t.Fatalf("%q became %q and then %q, %v", data, again, third, err)
			}
		}
	})
}
