package msm

import "errors"

// Limits of a gob beside maxDecodedSize and maxDecodedDepth.
const (
	maxGobTypes  = 1000 // described in one value
	maxGobFields = 1000 // of one struct
)

var errGob = errors.New("msm: malformed gob")

// Type ids of encoding/gob (type.go): what every stream knows without being
// told.
const (
	gobIDBool      = 1
	gobIDInt       = 2
	gobIDUint      = 3
	gobIDFloat     = 4
	gobIDBytes     = 5
	gobIDString    = 6
	gobIDComplex   = 7
	gobIDFirstUser = 64
)

// gobType is a type that the stream describes.
type gobType struct {
	kind   gobKind
	key    int64   // of a map
	elem   int64   // of a map, a slice or an array
	fields []int64 // of a struct
}

// gobKind is the number of the field of encoding/gob's wireType that is set.
type gobKind int

const (
	gobArray  gobKind = 1
	gobSlice  gobKind = 2
	gobStruct gobKind = 3
	gobMap    gobKind = 4
	gobOpaque gobKind = 5 // and 6 and 7: the type encodes itself
)

// checkGob reads a gob as the package documentation of encoding/gob describes
// it, storing nothing but its types, and refuses what would make a decoder
// allocate more than was sent: encoding/gob trusts the length of a map. It
// accepts one value, after its types, and no interfaces.
func checkGob(data []byte) error {
	if len(data) > maxDecodedSize {
		return errGob
	}
	c := gobChecker{types: make(map[int64]gobType)}
	for {
		size, rest := gobUint(data)
		if rest == nil || size > uint64(len(rest)) {
			return errGob
		}
		c.rest, data = rest[:size], rest[size:]
		id := c.int()
		if id >= 0 {
			c.top(id)
			if c.failed || len(c.rest) > 0 || len(data) > 0 {
				return errGob
			}
			return nil
		}
		c.define(-id)
		if c.failed || len(c.rest) > 0 {
			return errGob
		}
	}
}

// gobUint cuts an unsigned integer off; rest is nil if there is none. Up to
// 127 it is one byte, else the negated number of the bytes that follow.
func gobUint(data []byte) (v uint64, rest []byte) {
	if len(data) == 0 {
		return 0, nil
	}
	if data[0] < 0x80 {
		return uint64(data[0]), data[1:]
	}
	n := -int(int8(data[0]))
	if n > 8 || n >= len(data) {
		return 0, nil
	}
	for _, b := range data[1 : 1+n] {
		v = v<<8 | uint64(b)
	}
	return v, data[1+n:]
}

// gobChecker reads one message after the other. After the first error it has
// failed, and nothing is left to read.
type gobChecker struct {
	types  map[int64]gobType
	rest   []byte
	depth  int
	failed bool
}

func (c *gobChecker) fail() { c.failed, c.rest = true, nil }

func (c *gobChecker) uint() uint64 {
	v, rest := gobUint(c.rest)
	if rest == nil {
		c.fail()
		return 0
	}
	c.rest = rest
	return v
}

func (c *gobChecker) int() int64 {
	u := c.uint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads how many elements follow: each has a byte at least.
func (c *gobChecker) count() int {
	n := c.uint()
	if n > uint64(len(c.rest)) {
		c.fail()
		return 0
	}
	return int(n)
}

// skip passes a length and as many bytes.
func (c *gobChecker) skip() {
	n := c.count()
	c.rest = c.rest[n:]
}

// fields reads a struct: for each field that is there, its distance from the
// one before, and its value; 0 ends it.
func (c *gobChecker) fields(limit int, field func(number int)) {
	number := 0
	for {
		delta := c.uint()
		if delta == 0 {
			return // the end, or a failure
		}
		if delta > uint64(limit-number) {
			c.fail()
			return
		}
		number += int(delta)
		field(number)
	}
}

// define reads the description of a type: a wireType.
func (c *gobChecker) define(id int64) {
	var t gobType
	c.fields(7, func(kind int) {
		if t.kind != 0 {
			c.fail()
		}
		t.kind = min(gobKind(kind), gobOpaque)
		c.fields(3, func(number int) {
			switch {
			case number == 1:
				c.commonType()
			case t.kind == gobStruct && number == 2:
				t.fields = c.fieldTypes()
			case t.kind == gobMap && number == 2:
				t.key = c.int()
			case t.kind == gobMap, number == 2:
				t.elem = c.int()
			default:
				c.int() // an array's length
			}
		})
	})
	if _, again := c.types[id]; again || t.kind == 0 || id < gobIDFirstUser || len(c.types) == maxGobTypes {
		c.fail()
	}
	c.types[id] = t
}

// commonType passes name and id.
func (c *gobChecker) commonType() {
	c.fields(2, func(number int) {
		if number == 1 {
			c.skip()
		} else {
			c.int()
		}
	})
}

// fieldTypes reads the fields of a struct, each a name and a type.
func (c *gobChecker) fieldTypes() []int64 {
	n := c.count()
	if n > maxGobFields {
		c.fail()
		return nil
	}
	ids := make([]int64, n)
	for i := range ids {
		c.fields(2, func(number int) {
			if number == 1 {
				c.skip()
			} else {
				ids[i] = c.int()
			}
		})
	}
	return ids
}

// top reads the value of a message. What is no struct is sent as the only
// field of one, without its end.
func (c *gobChecker) top(id int64) {
	if c.types[id].kind != gobStruct && c.uint() != 0 {
		c.fail()
	}
	c.value(id)
}

func (c *gobChecker) value(id int64) {
	switch id {
	case gobIDBool, gobIDInt, gobIDUint, gobIDFloat:
		c.uint()
	case gobIDComplex:
		c.uint()
		c.uint()
	case gobIDBytes, gobIDString:
		c.skip()
	default:
		t, ok := c.types[id]
		if !ok || c.depth == maxDecodedDepth {
			c.fail()
			return
		}
		c.depth++
		c.composite(t)
		c.depth--
	}
}

func (c *gobChecker) composite(t gobType) {
	switch t.kind {
	case gobOpaque:
		c.skip()
	case gobStruct:
		c.fields(len(t.fields), func(number int) { c.value(t.fields[number-1]) })
	case gobArray, gobSlice:
		for n := c.count(); n > 0 && !c.failed; n-- {
			c.value(t.elem)
		}
	case gobMap:
		for n := c.count(); n > 0 && !c.failed; n-- {
			c.value(t.key)
			c.value(t.elem)
		}
	}
}
