package memcachetest

// opcode is what a binary command does; the quiet variants share one.
type opcode uint8

const (
	opNone opcode = iota
	opGet
	opGetKey
	opTouch
	opGetAndTouch
	opGetKeyAndTouch
	opSet
	opAdd
	opReplace
	opAppend
	opPrepend
	opDelete
	opIncrement
	opDecrement
	opQuit
	opFlush
	opNoop
	opVersion
	opStat
	opSASLList
	opSASLAuth
	opSASLStep
)

// layout is what a binary request of one opcode must look like
// (protocol-binary.txt, "Commands"). Anything else is an invalid argument and
// ends the connection.
type layout struct {
	op     opcode
	name   string
	extras int
	key    part
	value  part
	quiet  bool
}

// part says whether a request has a key or a value.
type part uint8

const (
	none part = iota
	must
	may
)

// layouts are the opcodes by their number. Verbosity (0x1b) is missing, as in
// memcached 1.6.
var layouts = [...]layout{
	0x00: {opGet, "get", 0, must, none, false},
	0x01: {opSet, "set", 8, must, may, false},
	0x02: {opAdd, "add", 8, must, may, false},
	0x03: {opReplace, "replace", 8, must, may, false},
	0x04: {opDelete, "delete", 0, must, none, false},
	0x05: {opIncrement, "increment", 20, must, none, false},
	0x06: {opDecrement, "decrement", 20, must, none, false},
	0x07: {opQuit, "quit", 0, none, none, false},
	0x08: {opFlush, "flush", 4, none, none, false}, // extras may be missing
	0x09: {opGet, "getq", 0, must, none, true},
	0x0a: {opNoop, "noop", 0, none, none, false},
	0x0b: {opVersion, "version", 0, none, none, false},
	0x0c: {opGetKey, "getk", 0, must, none, false},
	0x0d: {opGetKey, "getkq", 0, must, none, true},
	0x0e: {opAppend, "append", 0, must, may, false},
	0x0f: {opPrepend, "prepend", 0, must, may, false},
	0x10: {opStat, "stat", 0, may, none, false},
	0x11: {opSet, "setq", 8, must, may, true},
	0x12: {opAdd, "addq", 8, must, may, true},
	0x13: {opReplace, "replaceq", 8, must, may, true},
	0x14: {opDelete, "deleteq", 0, must, none, true},
	0x15: {opIncrement, "incrementq", 20, must, none, true},
	0x16: {opDecrement, "decrementq", 20, must, none, true},
	0x17: {opQuit, "quitq", 0, none, none, true},
	0x18: {opFlush, "flushq", 4, none, none, true},
	0x19: {opAppend, "appendq", 0, must, may, true},
	0x1a: {opPrepend, "prependq", 0, must, may, true},
	0x1c: {opTouch, "touch", 4, must, none, false},
	0x1d: {opGetAndTouch, "gat", 4, must, none, false},
	0x1e: {opGetAndTouch, "gatq", 4, must, none, true},
	0x20: {opSASLList, "sasl_list_mechs", 0, none, none, false},
	0x21: {opSASLAuth, "sasl_auth", 0, must, may, false},
	0x22: {opSASLStep, "sasl_step", 0, must, may, false},
	0x23: {opGetKeyAndTouch, "gatk", 4, must, none, false},
	0x24: {opGetKeyAndTouch, "gatkq", 4, must, none, true},
}

// layoutOf returns the layout of an opcode; that of one which memcached does not
// know has opNone.
func layoutOf(number byte) layout {
	if int(number) < len(layouts) && layouts[number].op != opNone {
		return layouts[number]
	}
	return layout{name: "unknown"}
}

// storesValue tells whether the value becomes (part of) an item.
func (l *layout) storesValue() bool { return l.op >= opSet && l.op <= opPrepend }

// fits tells whether the lengths of a request are those of its layout.
func (l *layout) fits(extras, key, value int) bool {
	return (extras == l.extras || l.op == opFlush && extras == 0) && l.key.fits(key) && l.value.fits(value)
}

func (p part) fits(n int) bool {
	switch p {
	case none:
		return n == 0
	case must:
		return n > 0
	}
	return true
}
