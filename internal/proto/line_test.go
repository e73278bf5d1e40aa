package proto

import (
	"strconv"
	"strings"
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

// What a server quotes of the request does not get into what callers log.
func TestWordsOfServers(t *testing.T) {
	long := strings.Repeat("k", MaxKey)
	get := func(key string) *Request { return &Request{Op: OpGet, Key: key} }
	for _, tt := range []struct {
		name, reason string
		req          *Request
		line, want   string
	}{
		{"key", "quoted", get("user:7"), "SERVER_ERROR no room for user:7", "SERVER_ERROR no room for <key>"},
		{"key, twice", "and in quotes", get("user:7"), `SERVER_ERROR "user:7" is not 'user:7'.`, `SERVER_ERROR "<key>" is not '<key>'.`},
		{"a part of a word", "is there by chance", get("a"), "SERVER_ERROR a bad start", "SERVER_ERROR <key> bad start"},
		{"another key", "begins with this one", get("user:7"), "SERVER_ERROR user:71", "SERVER_ERROR user:71"},
		{"the first word", "says what kind of error it is", get("SERVER_ERROR"), "SERVER_ERROR SERVER_ERROR", "SERVER_ERROR <key>"},
		{"a long key", "is not left in part when the line is cut", get(long), "SERVER_ERROR no such backend for key " + long, "SERVER_ERROR no such backend for key <key>"},
		{"several", "of a multi-get", &Request{Op: OpGetMulti, Keys: []string{"a", "b", "c"}}, "SERVER_ERROR c/a", "SERVER_ERROR <key>/<key>"},
		{"password", "and user name", &Request{Op: OpAuth, Key: "alice", Value: []byte("s3cret")}, "CLIENT_ERROR authentication failure alice s3cret", "CLIENT_ERROR authentication failure <key> <password>"},
		{"nothing", "but the word", get("a"), "SERVER_ERROR", "SERVER_ERROR"},
		{"no key", "of stats", &Request{Op: OpStats}, "ERROR", "ERROR"},
		{"too long", "is cut", get("a"), "SERVER_ERROR " + strings.Repeat("x", 1000), "SERVER_ERROR " + strings.Repeat("x", maxLine-13)},
	} {
		var rep Reply
		if err := refusal([]byte(tt.line), tt.req, &rep); err != nil || rep.Line != tt.want {
			t.Errorf("%s: got %q, %v, want %q: %s", tt.name, rep.Line, err, tt.want, tt.reason)
		}
	}
	packet := refuse(0x82, opcodeGet, "Out of memory for user:7")
	var rep Reply
	req := get("user:7")
	req.Opaque = 7
	if _, _, err := (Binary{}).Parse([]byte(packet), req, &rep); err != nil || rep.Line != "Out of memory for <key>" {
		t.Errorf("binary: got %q, %v, want the key concealed", rep.Line, err)
	}
}
