package msm

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
)

// Gob is encoding/gob, for types that JSON cannot carry: maps with keys of any
// type, complex numbers. Every value carries the description of its type, so
// small values become larger than in JSON, and slower.
//
// encoding/gob itself is not made for bytes that somebody else may have
// written: 30 of them can make it allocate gigabytes. Here every count and
// nesting is checked before it sees them (4 MiB in all, 64 levels). Types that
// hold interfaces are refused, because the stored bytes, not the program,
// would choose what is put into them.
var Gob Transcoder = gobTranscoder{}

type gobTranscoder struct{}

func (gobTranscoder) Encode(v any) ([]byte, error) {
	if err := checkGobType(reflect.TypeOf(v)); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(v); err != nil {
		return nil, err
	}
	if err := checkEncodedSize(v, out.Len()); err != nil {
		return nil, err
	}
	// What Decode would refuse had better not be stored: a list of 65 nodes.
	if err := checkGob(out.Bytes()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (gobTranscoder) Decode(data []byte, into any) error {
	if err := checkGobType(reflect.TypeOf(into)); err != nil {
		return err
	}
	if err := checkGob(data); err != nil {
		return err
	}
	return gob.NewDecoder(bytes.NewReader(data)).Decode(into)
}

func checkGobType(t reflect.Type) error {
	if t == nil {
		return errors.New("msm: Gob cannot encode nil: delete the attribute instead")
	}
	if inner := interfaceInside(t, make(map[reflect.Type]bool)); inner != nil {
		return fmt.Errorf("msm: Gob refuses %v: with the interface %v inside, the stored bytes would choose a type; use concrete ones", t, inner)
	}
	return nil
}

// interfaceInside returns an interface type that gob would fill in a value of
// type t, or nil. Types that decode themselves are their own business.
func interfaceInside(t reflect.Type, seen map[reflect.Type]bool) reflect.Type {
	if seen[t] || decodesItself(t) {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return t
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return interfaceInside(t.Elem(), seen)
	case reflect.Map:
		if inner := interfaceInside(t.Key(), seen); inner != nil {
			return inner
		}
		return interfaceInside(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			if !field.IsExported() {
				continue // gob leaves it out
			}
			if inner := interfaceInside(field.Type, seen); inner != nil {
				return inner
			}
		}
	}
	return nil
}

func decodesItself(t reflect.Type) bool {
	if t.Kind() == reflect.Interface {
		return false
	}
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[gob.GobDecoder]()) ||
		p.Implements(reflect.TypeFor[encoding.BinaryUnmarshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
