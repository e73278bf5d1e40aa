package proto

import (
	"strconv"
	"testing"
)

func TestNumber(t *testing.T) {
	for _, in := range []string{
		"0", "7", "007", "18446744073709551615", "18446744073709551616", "18446744073709551620", "18446744073709551625",
		"28446744073709551615", "99999999999999999999", "184467440737095516150", "340282366920938463463374607431768211456",
		"00000000000000000000000000018446744073709551615",
	} {
		want, err := strconv.ParseUint(in, 10, 64)
		got, rest, ok := number([]byte(in + " 5"))
		if ok != (err == nil) || ok && (got != want || string(rest) != " 5") {
			t.Errorf("number(%q) = %d, %q, %t; want %d, ok %t", in, got, rest, ok, want, err == nil)
		}
	}
	for _, in := range []string{"", "-1", "+1", " 1", "a", "\xff1"} {
		if got, _, ok := number([]byte(in)); ok {
			t.Errorf("number(%q) = %d, want it refused", in, got)
		}
	}
}
