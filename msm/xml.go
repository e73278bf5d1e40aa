package msm

import (
	"bytes"
	"encoding"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// XML is encoding/xml, for values that people or other programs read in
// memcached. It takes what encoding/xml brings back: structs with a type name,
// strings, other scalars, and slices of them; no maps, interfaces, slices of
// slices or []byte outside a struct. What encoding/xml would change without a
// word, it refuses: text with characters that XML cannot carry, and when it
// reads, more than 64 nested elements, document types, and anything beside
// the value. Nil pointers in a slice are left out.
var XML Transcoder = xmlTranscoder{}

type xmlTranscoder struct{}

// Encode writes an element; for a slice or an array one after the other, for
// a nil pointer none.
func (xmlTranscoder) Encode(v any) ([]byte, error) {
	if err := checkXMLType(reflect.TypeOf(v)); err != nil {
		return nil, err
	}
	data, err := xml.Marshal(v)
	if err != nil {
		return nil, err
	}
	// encoding/xml writes U+FFFD for what it cannot write. The text itself may
	// hold one, so the values must be asked.
	if bytes.ContainsRune(data, utf8.RuneError) && !xmlText(reflect.ValueOf(v)) {
		return nil, fmt.Errorf("msm: XML cannot carry a control character, or bytes that are not UTF-8, of this %T: use JSON", v)
	}
	return data, checkXML(data)
}

// checkXML refuses what Decode would refuse: a list of 65 nodes.
func checkXML(data []byte) error {
	tokens := strictXML{d: xml.NewDecoder(bytes.NewReader(data))}
	for {
		if _, err := tokens.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (xmlTranscoder) Decode(data []byte, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("msm: XML needs a pointer to decode into, not %T", into)
	}
	if err := checkXMLType(target.Type()); err != nil {
		return err
	}
	d := xml.NewTokenDecoder(&strictXML{d: xml.NewDecoder(bytes.NewReader(data))})
	if err := decodeXML(d, target.Elem()); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errXMLTrailing
	}
	return nil
}

// Errors of reading XML.
var (
	errXMLDepth    = errors.New("msm: XML nested too deeply")
	errXMLOutside  = errors.New("msm: XML with something beside its elements")
	errXMLTrailing = errors.New("msm: XML goes on after the value")
)

// decodeXML stores one value, which is several elements for a slice or array.
func decodeXML(d *xml.Decoder, target reflect.Value) error {
	switch {
	case !isXMLList(target.Type()):
		err := d.Decode(target.Addr().Interface())
		if err == io.EOF && target.Kind() == reflect.Pointer {
			return nil // nil was encoded
		}
		return err
	case target.Kind() == reflect.Array:
		for i := range target.Len() {
			if err := d.Decode(target.Index(i).Addr().Interface()); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		elem := reflect.New(target.Type().Elem())
		err := d.Decode(elem.Interface())
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		target.Set(reflect.Append(target, elem.Elem()))
	}
}

// isXMLList tells what encoding/xml writes without an element of its own.
func isXMLList(t reflect.Type) bool {
	return (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem().Kind() != reflect.Uint8 && !isXMLOpaque(t)
}

// isXMLOpaque tells what has a form of its own.
func isXMLOpaque(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t.Kind() != reflect.Interface &&
		(p.Implements(reflect.TypeFor[xml.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()))
}

// strictXML refuses what Encode does not write and xml.Decoder would skip or
// follow: depth, document types, and anything outside the elements.
type strictXML struct {
	d     *xml.Decoder
	depth int
}

func (s *strictXML) Token() (xml.Token, error) {
	token, err := s.d.RawToken()
	if err != nil {
		return nil, err
	}
	switch token.(type) {
	case xml.StartElement:
		if s.depth == maxDecodedDepth {
			return nil, errXMLDepth
		}
		s.depth++
	case xml.EndElement:
		s.depth--
	case xml.Directive, xml.ProcInst:
		return nil, errXMLOutside
	default:
		if s.depth == 0 {
			return nil, errXMLOutside
		}
	}
	return token, nil
}

// checkXMLType refuses types of which encoding/xml loses parts in silence.
func checkXMLType(t reflect.Type) error {
	if t == nil {
		return errors.New("msm: XML cannot encode nil: delete the attribute instead")
	}
	if inner := lostInXML(t, make(map[reflect.Type]bool)); inner != nil {
		return fmt.Errorf("msm: XML cannot carry %v (in %v): use JSON, or give the type MarshalXML and UnmarshalXML", inner, t)
	}
	return nil
}

// lostInXML returns the first type inside t that XML does not bring back.
func lostInXML(t reflect.Type, seen map[reflect.Type]bool) reflect.Type {
	if seen[t] || isXMLOpaque(t) {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface, reflect.Map, reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128:
		return t
	case reflect.Pointer:
		return lostInXML(t.Elem(), seen)
	case reflect.Slice, reflect.Array:
		if isXMLList(t.Elem()) {
			return t // its parts would run together
		}
		return lostInXML(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			if !field.IsExported() && !field.Anonymous || field.Tag.Get("xml") == "-" {
				continue
			}
			if inner := lostInXML(field.Type, seen); inner != nil {
				return inner
			}
		}
	}
	return nil
}

// xmlText tells whether all text in v can be written as it is.
func xmlText(v reflect.Value) bool {
	if !v.IsValid() || isXMLOpaque(v.Type()) {
		return true
	}
	switch v.Kind() {
	case reflect.String:
		return isXMLText(v.String())
	case reflect.Pointer:
		return v.IsNil() || xmlText(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && !xmlText(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return isXMLText(fmt.Sprintf("%s", v.Interface()))
		}
		for i := range v.Len() {
			if !xmlText(v.Index(i)) {
				return false
			}
		}
	}
	return true
}

// isXMLText tells whether s consists of the characters of XML 1.0, 2.2.
func isXMLText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	}) < 0
}
