package msm

import (
	"fmt"
	"reflect"
)

// Converter encodes the values of one type in a way of its own: what customConverter
// is to memcached-session-manager. Types whose methods say how they are encoded
// (encoding.TextMarshaler and the like) need none. Make it with NewConverter; it
// is immutable.
type Converter struct {
	value  reflect.Type
	encode func(any) ([]byte, error)
	decode func(data []byte, into any) error
}

// NewConverter returns a Converter for values of type T. Both functions must be
// safe for concurrent use, and decode must refuse what encode cannot have written,
// as Transcoder says.
func NewConverter[T any](encode func(T) ([]byte, error), decode func([]byte) (T, error)) Converter {
	return Converter{
		value: reflect.TypeFor[T](),
		encode: func(v any) ([]byte, error) {
			if p, ok := v.(*T); ok {
				return encode(*p)
			}
			return encode(v.(T)) // converting asks for no other
		},
		decode: func(data []byte, into any) error {
			v, err := decode(data)
			if err == nil {
				*into.(*T) = v
			}
			return err
		},
	}
}

// Converting returns a Transcoder that leaves attributes of the converters' types,
// and pointers to them, to the converters, and all others to t, which goes on
// reading what it has written. Of two converters of one type the last one counts.
// A type inside another one is not converted. Under Compressed, what converters
// write is compressed, too.
func Converting(t Transcoder, converters ...Converter) Transcoder {
	c := &converting{others: t, byType: make(map[reflect.Type]Converter)}
	for _, own := range converters {
		c.byType[own.value] = own
	}
	return c
}

// converting is immutable, and safe for concurrent use.
type converting struct {
	others Transcoder
	byType map[reflect.Type]Converter
}

// of returns the converter of v's type, and whether there is one.
func (c *converting) of(v any) (Converter, bool) {
	t := reflect.TypeOf(v)
	if t != nil && t.Kind() == reflect.Pointer && !reflect.ValueOf(v).IsNil() {
		if own, ok := c.byType[t.Elem()]; ok {
			return own, true
		}
	}
	own, ok := c.byType[t]
	return own, ok
}

func (c *converting) Encode(v any) ([]byte, error) {
	own, ok := c.of(v)
	if !ok {
		return c.others.Encode(v)
	}
	data, err := own.encode(v)
	if err == nil {
		err = checkEncodedSize(v, len(data))
	}
	return data, err
}

func (c *converting) Decode(data []byte, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("msm: a converter needs a pointer to decode into, not %T", into)
	}
	own, ok := c.byType[target.Type().Elem()]
	if !ok {
		return c.others.Decode(data, into)
	}
	return own.decode(data, into)
}
