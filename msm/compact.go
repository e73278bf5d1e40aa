package msm

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/cmplx"
	"reflect"
	"time"
)

// Compact stores booleans, numbers, strings, []byte and times in as few bytes
// as they need, and types that implement encoding.BinaryMarshaler and
// encoding.BinaryUnmarshaler in their own form. Everything else, structs,
// slices and maps for the most part, it stores as JSON does, one byte longer.
//
// A number may have another type in the next release, as long as the value
// fits. A pointer is stored as what it points to.
var Compact Transcoder = compactTranscoder{}

type compactTranscoder struct{}

// The first byte of a compact value, and what follows it.
const (
	compactNil     = 0
	compactFalse   = 1
	compactTrue    = 2
	compactInt     = 3  // varint
	compactUint    = 4  // uvarint
	compactFloat32 = 5  // 4 bytes
	compactFloat64 = 6  // 8 bytes
	compactComplex = 7  // 16 bytes: real and imaginary part
	compactString  = 8  // the text
	compactBytes   = 9  // the bytes
	compactTime    = 10 // see appendTime
	compactOwn     = 11 // what MarshalBinary returned
	compactJSON    = 12 // see JSON
)

func (compactTranscoder) Encode(v any) ([]byte, error) {
	value := reflect.ValueOf(v)
	for value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	if !value.IsValid() {
		return []byte{compactNil}, nil
	}
	if t, ok := value.Interface().(time.Time); ok {
		return appendTime([]byte{compactTime}, t), nil
	}
	if own, ok := asBinary(value); ok {
		data, err := own.MarshalBinary()
		return prefixed(compactOwn, data), err
	}
	if data, ok := encodeScalar(value); ok {
		return data, nil
	}
	data, err := JSON.Encode(v)
	return prefixed(compactJSON, data), err
}

func prefixed[T string | []byte](mark byte, content T) []byte {
	return append(append(make([]byte, 0, 1+len(content)), mark), content...)
}

// encodeScalar encodes by kind, so that named types are included.
func encodeScalar(v reflect.Value) (data []byte, ok bool) {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return []byte{compactTrue}, true
		}
		return []byte{compactFalse}, true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint([]byte{compactInt}, v.Int()), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return binary.AppendUvarint([]byte{compactUint}, v.Uint()), true
	case reflect.Float32:
		return binary.BigEndian.AppendUint32([]byte{compactFloat32}, math.Float32bits(float32(v.Float()))), true
	case reflect.Float64:
		return binary.BigEndian.AppendUint64([]byte{compactFloat64}, math.Float64bits(v.Float())), true
	case reflect.Complex64, reflect.Complex128:
		c := v.Complex()
		data = binary.BigEndian.AppendUint64([]byte{compactComplex}, math.Float64bits(real(c)))
		return binary.BigEndian.AppendUint64(data, math.Float64bits(imag(c))), true
	case reflect.String:
		return prefixed(compactString, v.String()), true
	case reflect.Slice:
		switch {
		case v.Type().Elem().Kind() != reflect.Uint8:
			return nil, false
		case v.IsNil():
			return []byte{compactNil}, true
		}
		return prefixed(compactBytes, v.Bytes()), true
	}
	return nil, false
}

// binaryForm is a type that brings its own compact form.
type binaryForm interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// asBinary returns v as a binaryForm, if it or a pointer to it is one.
func asBinary(v reflect.Value) (binaryForm, bool) {
	if !reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[binaryForm]()) {
		return nil, false
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	own, ok := p.Interface().(binaryForm)
	return own, ok
}

// maxZone is more than any zone is away from UTC, in seconds.
const maxZone = 48 * 60 * 60

// appendTime appends the seconds of Unix time as a varint, the nanoseconds as
// a uvarint, and, unless it is UTC, the zone's offset in seconds as a varint.
func appendTime(dst []byte, t time.Time) []byte {
	dst = binary.AppendVarint(dst, t.Unix())
	dst = binary.AppendUvarint(dst, uint64(t.Nanosecond()))
	_, offset := t.Zone()
	if t.Location() == time.UTC || offset < -maxZone || offset > maxZone {
		return dst
	}
	return binary.AppendVarint(dst, int64(offset))
}

var errCompact = errors.New("msm: malformed compact value")

func (compactTranscoder) Decode(data []byte, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("msm: Compact needs a pointer to decode into, not %T", into)
	}
	if len(data) == 0 {
		return errCompact
	}
	target = target.Elem()
	if data[0] == compactNil && len(data) == 1 {
		target.SetZero()
		return nil
	}
	for target.Kind() == reflect.Pointer {
		target.Set(reflect.New(target.Type().Elem()))
		target = target.Elem()
	}
	switch data[0] {
	case compactJSON:
		return JSON.Decode(data[1:], target.Addr().Interface())
	case compactOwn:
		own, ok := target.Addr().Interface().(encoding.BinaryUnmarshaler)
		if !ok {
			return mismatch(data[0], target)
		}
		return own.UnmarshalBinary(data[1:])
	}
	v, err := decodeScalar(data[0], data[1:])
	if err != nil {
		return err
	}
	if !assign(target, v) {
		return mismatch(data[0], target)
	}
	return nil
}

func mismatch(mark byte, target reflect.Value) error {
	return fmt.Errorf("msm: compact value of kind %d does not fit into %v", mark, target.Type())
}

// decodeScalar returns the value in its widest type. It takes every number in
// its shortest form only.
func decodeScalar(mark byte, data []byte) (any, error) {
	switch {
	case mark == compactFalse && len(data) == 0:
		return false, nil
	case mark == compactTrue && len(data) == 0:
		return true, nil
	case mark == compactInt:
		if v, rest, ok := cutVarint(data); ok && len(rest) == 0 {
			return v, nil
		}
	case mark == compactUint:
		if v, rest, ok := cutUvarint(data); ok && len(rest) == 0 {
			return v, nil
		}
	case mark == compactFloat32 && len(data) == 4:
		return math.Float32frombits(binary.BigEndian.Uint32(data)), nil
	case mark == compactFloat64 && len(data) == 8:
		return math.Float64frombits(binary.BigEndian.Uint64(data)), nil
	case mark == compactComplex && len(data) == 16:
		return complex(math.Float64frombits(binary.BigEndian.Uint64(data)), math.Float64frombits(binary.BigEndian.Uint64(data[8:]))), nil
	case mark == compactString:
		return string(data), nil
	case mark == compactBytes:
		return append([]byte{}, data...), nil
	case mark == compactTime:
		if t, ok := decodeTime(data); ok {
			return t, nil
		}
	}
	return nil, errCompact
}

func decodeTime(data []byte) (time.Time, bool) {
	seconds, data, ok1 := cutVarint(data)
	nanos, data, ok2 := cutUvarint(data)
	if !ok1 || !ok2 || nanos >= uint64(time.Second) {
		return time.Time{}, false
	}
	t := time.Unix(seconds, int64(nanos))
	if len(data) == 0 {
		return t.UTC(), true
	}
	offset, data, ok := cutVarint(data)
	if !ok || len(data) > 0 || offset < -maxZone || offset > maxZone {
		return time.Time{}, false
	}
	if _, local := t.Zone(); int64(local) == offset {
		return t, true // as Time.UnmarshalBinary does
	}
	return t.In(time.FixedZone("", int(offset))), true
}

// assign stores v in target if its kind is the same and nothing is lost.
func assign(target reflect.Value, v any) bool {
	if target.Kind() == reflect.Interface && target.NumMethod() == 0 {
		target.Set(reflect.ValueOf(v))
		return true
	}
	ok := false
	switch v := v.(type) {
	case bool:
		if ok = target.Kind() == reflect.Bool; ok {
			target.SetBool(v)
		}
	case int64:
		ok = assignInt(target, v)
	case uint64:
		ok = assignUint(target, v)
	case float32:
		ok = assignFloat(target, float64(v))
	case float64:
		ok = assignFloat(target, v)
	case complex128:
		small := complex128(complex64(v))
		if ok = target.Kind() == reflect.Complex128 || target.Kind() == reflect.Complex64 && (small == v || cmplx.IsNaN(v)); ok {
			target.SetComplex(v)
		}
	case string:
		if ok = target.Kind() == reflect.String; ok {
			target.SetString(v)
		}
	case []byte:
		if ok = target.Kind() == reflect.Slice && target.Type().Elem().Kind() == reflect.Uint8; ok {
			target.SetBytes(v)
		}
	case time.Time:
		if ok = target.Type() == reflect.TypeFor[time.Time](); ok {
			target.Set(reflect.ValueOf(v))
		}
	}
	return ok
}

func assignInt(target reflect.Value, v int64) bool {
	switch {
	case target.CanInt() && !target.OverflowInt(v):
		target.SetInt(v)
	case target.CanUint() && v >= 0 && !target.OverflowUint(uint64(v)):
		target.SetUint(uint64(v))
	default:
		return false
	}
	return true
}

func assignUint(target reflect.Value, v uint64) bool {
	switch {
	case target.CanUint() && !target.OverflowUint(v):
		target.SetUint(v)
	case target.CanInt() && v <= math.MaxInt64 && !target.OverflowInt(int64(v)):
		target.SetInt(int64(v))
	default:
		return false
	}
	return true
}

func assignFloat(target reflect.Value, v float64) bool {
	exact := target.Kind() == reflect.Float64 ||
		target.Kind() == reflect.Float32 && (float64(float32(v)) == v || math.IsNaN(v))
	if exact {
		target.SetFloat(v)
	}
	return exact
}
