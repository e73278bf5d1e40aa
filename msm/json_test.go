package msm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSR42_JSONIsStrict(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	type target struct {
		A, B int
		C    any
		N    int8
		F    float32
	}
	for _, tc := range []struct {
		name, reason, in string
		want             error // nil: accepted; errAny: refused by encoding/json
	}{
		{"object", "the usual value", `{"A":1,"B":2}`, nil},
		{"unknown field", "of a newer release: ignored", `{"A":1,"new":{"x":[1]}}`, nil},
		{"same key in two objects", "is not twice in one", `{"C":[{"a":1},{"a":1,"b":{"a":1}}],"A":1}`, nil},
		{"string that looks like a key", "a value is none", `{"C":["A","A:","A"]}`, nil},
		{"braces in a string", "are text", `{"C":"}{[\"}{"}`, nil},
		{"duplicate key", "parsers differ in which one counts", `{"A":1,"B":2,"A":3}`, errJSONDuplicate},
		{"duplicate with escape", "the same key in another spelling", `{"A":1,"\u0041":3}`, errJSONDuplicate},
		{"duplicate with lone surrogates", "both become U+FFFD", `{"C":{"\ud800":1,"\ud801":3}}`, errJSONDuplicate},
		{"duplicate inside", "at any depth", `{"C":[[{"x" : 1 , "x"	:1}]]}`, errJSONDuplicate},
		{"duplicate after an inner object", "the outer keys are still known", `{"A":1,"C":{"x":1},"A":2}`, errJSONDuplicate},
		{"duplicate empty key", "a key like any other", `{"":1,"":1}`, errJSONDuplicate},
		{"keys that differ in case", "are two keys of a map", `{"C":{"a":1,"A":1}}`, nil},
		{"invalid UTF-8", "encoding/json would mend it silently", "{\"C\":\"\xff\"}", errJSONUTF8},
		{"deep enough", "64 levels", `{"C":` + nested(63) + `}`, nil},
		{"too deep", "65 levels", `{"C":` + nested(64) + `}`, errJSONDepth},
		{"a million levels", "refused without recursion", nested(1 << 20), errJSONDepth},
		{"trailing value", "two values are none", `{"A":1} {"A":2}`, errAny},
		{"trailing garbage", "likewise", `{"A":1}x`, errAny},
		{"trailing blanks", "are harmless", `{"A":1}` + "\n ", nil},
		{"number out of range", "is not wrapped", `{"N":128}`, errAny},
		{"float out of range", "is not infinite", `{"F":1e39}`, errAny},
		{"float64 out of range", "is not infinite", `{"C":1e999}`, errAny},
		{"fraction for an integer", "is not cut", `{"A":1.5}`, errAny},
		{"empty", "no value", "", errAny},
		{"cut short", "no value", `{"A":`, errAny},
		{"unbalanced", "no value", `}]`, errAny},
		{"open string", "no value", `{"A\`, errAny},
		{"bad escape in a key", "no value", `{"\q":1}`, errAny},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got target
			err := JSON.Decode([]byte(tc.in), &got)
			switch {
			case tc.want == nil && err != nil, tc.want != nil && err == nil,
				tc.want != nil && tc.want != errAny && !errors.Is(err, tc.want):
				t.Errorf("Decode(%.80q) = %v, want %v: %s", tc.in, err, tc.want, tc.reason)
			}
		})
	}
}

var errAny = errors.New("any error")

func TestJSONRoundTrip(t *testing.T) {
	type user struct {
		Name  string
		Roles []string
		Extra map[string]int
	}
	want := user{"Jo <b> \u2028 é", []string{"a", "b"}, map[string]int{"x": 1}}
	data, err := JSON.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	var got user
	if err := JSON.Decode(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if _, err := JSON.Encode(make(chan int)); err == nil {
		t.Error("Encode of a channel = nil, want an error")
	}
	if _, err := JSON.Encode(longList(maxDecodedDepth)); err != nil {
		t.Errorf("Encode of %d levels = %v, want nil", maxDecodedDepth, err)
	}
	if _, err := JSON.Encode(longList(maxDecodedDepth + 1)); !errors.Is(err, errJSONDepth) {
		t.Errorf("Encode of %d levels = %v, want errJSONDepth", maxDecodedDepth+1, err)
	}
}

// The check itself must stay linear and small: it runs on other people's
// bytes.
func TestSR42_JSONCheckIsCheap(t *testing.T) {
	data := []byte("{" + strings.Repeat(`"k":1,`, 1<<16) + `"k":1}`)
	if got, limit := allocated(func() { checkJSON(data) }), uint64(16*len(data)); got > limit {
		t.Errorf("checking %d bytes allocates %d, want at most %d", len(data), got, limit)
	}
	small := []byte(`{"a":1,"b":{"c":[1,2,3]}}`)
	if got := testing.AllocsPerRun(100, func() { checkJSON(small) }); got > 1 {
		t.Errorf("checking a small value costs %v allocations, want at most 1", got)
	}
}

// FuzzJSON: what Decode takes is what a token-wise reading with the same rules
// takes.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[{"a":"\u0061"}],"c":null}`, `[]`, `"x"`, `{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, `1 2`, `{"a":{"b":{}},"a":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		got := JSON.Decode(data, &v)
		if want := tokenwise(data); (got == nil) != (want == nil) {
			t.Fatalf("Decode(%q) = %v, token-wise reading says %v", data, got, want)
		}
	})
}

func tokenwise(data []byte) error {
	if !json.Valid(data) {
		return errAny
	}
	if !utf8.Valid(data) {
		return errJSONUTF8
	}
	type level struct {
		object, value bool
		keys          map[string]bool
	}
	var open []level
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(open) > 0 {
				open[len(open)-1].value = false
			}
			open = append(open, level{object: token == json.Delim('{'), keys: map[string]bool{}})
			if len(open) > maxDecodedDepth {
				return errJSONDepth
			}
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			continue
		}
		if len(open) == 0 || !open[len(open)-1].object {
			continue
		}
		at := &open[len(open)-1]
		if at.value {
			at.value = false
			continue
		}
		key := token.(string)
		if at.keys[key] {
			return errJSONDuplicate
		}
		at.keys[key], at.value = true, true
	}
}
