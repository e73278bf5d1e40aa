package memcachetest

import "math"

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// parseUint reads a decimal number as memcached does with strtoull: blanks may
// stand before it and anything behind a blank that follows it.
func parseUint(b []byte) (uint64, bool) {
	i := 0
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i < len(b) && b[i] == '+' {
		i++
	}
	start := i
	var n uint64
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		d := uint64(b[i] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, i > start && (i == len(b) || isSpace(b[i]))
}

// parseInt is parseUint for a number that may be negative; like memcached on
// 64-bit machines, it keeps the low 32 bits.
func parseInt(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	n, ok := parseUint(b)
	if !ok || n > math.MaxInt64 {
		return 0, false
	}
	if negative {
		return int64(int32(-int64(n))), true
	}
	return int64(int32(n)), true
}

// parseFlags reads client flags; like memcached, it keeps the low 32 bits.
func parseFlags(b []byte) (uint32, bool) {
	n, ok := parseUint(b)
	return uint32(n), ok
}
