package msm

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// text is an attribute with a value that a test can read.
func text(name, value string) attr { return attr{name: name, codec: 1, data: []byte(value)} }

// texts returns attributes as "name=value", in their order.
func texts(attrs []attr) []string {
	s := []string{}
	for _, a := range attrs {
		s = append(s, a.name+"="+string(a.data))
	}
	return s
}

// add is an update that appends to the value.
func add(name, what string) update {
	return func(old attr, _ bool) (attr, error) { return text(name, string(old.data)+what), nil }
}

// computed is what Key.Update does to changes, of a session that has seen.
func (ch *changes) computed(t *testing.T, seen []attr, name string, f update) {
	t.Helper()
	old, ok := find(seen, name)
	if c, touched := ch.attrs[name]; touched {
		old, ok = c.value, !c.gone
	}
	value, err := f(old, ok)
	must(t, err)
	ch.compute(old, ok, value, f)
}

var mergeSeen = []attr{text("a", "1"), text("b", "1")}

// mergeCases are what a request did that had seen mergeSeen, what others have made
// of that meanwhile, and what comes of both.
var mergeCases = []struct {
	reason string
	do     func(t *testing.T, ch *changes)
	theirs []attr
	want   []string
}{
	{"nothing done: theirs", func(*testing.T, *changes) {}, []attr{text("a", "2")}, []string{"a=2"}},
	{"set, nothing of theirs",
		func(_ *testing.T, ch *changes) { ch.set(text("c", "1")) },
		mergeSeen, []string{"a=1", "b=1", "c=1"}},
	{"what was not touched is theirs: changed, new and removed",
		func(_ *testing.T, ch *changes) { ch.set(text("c", "1")) },
		[]attr{text("a", "2"), text("z", "1")}, []string{"a=2", "c=1", "z=1"}},
	{"set by both: the one that is stored later",
		func(_ *testing.T, ch *changes) { ch.set(text("a", "mine")) },
		[]attr{text("a", "theirs")}, []string{"a=mine"}},
	{"set here, removed there: set",
		func(_ *testing.T, ch *changes) { ch.set(text("a", "mine")) },
		nil, []string{"a=mine"}},
	{"removed here, set there: removed",
		func(_ *testing.T, ch *changes) { ch.remove("a") },
		[]attr{text("a", "theirs"), text("b", "1")}, []string{"b=1"}},
	{"removed by both",
		func(_ *testing.T, ch *changes) { ch.remove("a") },
		[]attr{text("b", "1")}, []string{"b=1"}},
	{"the last of several changes counts",
		func(_ *testing.T, ch *changes) {
			ch.set(text("a", "mine"))
			ch.remove("a")
			ch.remove("c")
			ch.set(text("c", "mine"))
		},
		mergeSeen, []string{"b=1", "c=mine"}},
	{"computed, and theirs is what it was computed from",
		func(t *testing.T, ch *changes) { ch.computed(t, mergeSeen, "a", add("a", "+")) },
		mergeSeen, []string{"a=1+", "b=1"}},
	{"computed, and theirs has changed: computed again",
		func(t *testing.T, ch *changes) { ch.computed(t, mergeSeen, "a", add("a", "+")) },
		[]attr{text("a", "2")}, []string{"a=2+"}},
	{"computed, and theirs is gone: computed from nothing",
		func(t *testing.T, ch *changes) { ch.computed(t, mergeSeen, "a", add("a", "+")) },
		nil, []string{"a=+"}},
	{"computed from nothing, and theirs has come",
		func(t *testing.T, ch *changes) { ch.computed(t, mergeSeen, "c", add("c", "+")) },
		[]attr{text("c", "2")}, []string{"c=2+"}},
	{"computed from nothing, and there is nothing",
		func(t *testing.T, ch *changes) { ch.computed(t, mergeSeen, "c", add("c", "+")) },
		nil, []string{"c=+"}},
	{"computed several times: again in that order",
		func(t *testing.T, ch *changes) {
			for _, what := range []string{"x", "y", "z"} {
				ch.computed(t, mergeSeen, "a", add("a", what))
			}
		},
		[]attr{text("a", "2")}, []string{"a=2xyz"}},
	{"computed from what was set here: nothing of theirs is in it",
		func(t *testing.T, ch *changes) {
			ch.set(text("a", "mine"))
			ch.computed(t, mergeSeen, "a", add("a", "+"))
		},
		[]attr{text("a", "2")}, []string{"a=mine+"}},
	{"computed after it was removed here: from nothing",
		func(t *testing.T, ch *changes) {
			ch.remove("a")
			ch.computed(t, mergeSeen, "a", add("a", "+"))
		},
		[]attr{text("a", "2")}, []string{"a=+"}},
	{"set after it was computed: computed no more",
		func(t *testing.T, ch *changes) {
			ch.computed(t, mergeSeen, "a", add("a", "+"))
			ch.set(text("a", "mine"))
		},
		[]attr{text("a", "2")}, []string{"a=mine"}},
	{"removed after it was computed",
		func(t *testing.T, ch *changes) {
			ch.computed(t, mergeSeen, "a", add("a", "+"))
			ch.remove("a")
		},
		[]attr{text("a", "2")}, []string{}},
	{"the result is in alphabetical order",
		func(_ *testing.T, ch *changes) {
			for _, name := range []string{"z", "m", "c", "0"} {
				ch.set(text(name, "1"))
			}
		},
		[]attr{text("a", "1"), text("n", "1")}, []string{"0=1", "a=1", "c=1", "m=1", "n=1", "z=1"}},
	{"another codec is another value",
		func(t *testing.T, ch *changes) { ch.computed(t, mergeSeen, "a", add("a", "+")) },
		[]attr{{name: "a", codec: 2, data: []byte("1")}, text("b", "2")}, []string{"a=1+", "b=2"}},
}

// What one request did, on top of what others did meanwhile.
func TestMerge(t *testing.T) {
	for _, tc := range mergeCases {
		t.Run(tc.reason, func(t *testing.T) {
			ch, before := new(changes), texts(tc.theirs)
			tc.do(t, ch)
			for range 2 { // it may be stored more than once
				merged, err := ch.merge(tc.theirs)
				if got := texts(merged); err != nil || !slices.Equal(got, tc.want) {
					t.Errorf("got %q, %v; want %q", got, err, tc.want)
				}
			}
			if after := texts(tc.theirs); !slices.Equal(after, before) {
				t.Errorf("theirs was %q, and is %q", before, after)
			}
		})
	}
}

// The error of an update is that of the merge, and nothing comes of the rest; an
// update does not run where its value holds.
func TestMergeFails(t *testing.T) {
	full := errors.New("the cart is full")
	seen := []attr{text("a", "1")}
	runs := 0
	ch := new(changes)
	ch.set(text("b", "mine"))
	ch.computed(t, seen, "a", func(old attr, ok bool) (attr, error) {
		if runs++; string(old.data) == "2" {
			return attr{}, full
		}
		return text("a", "1+"), nil
	})
	for _, tc := range []struct {
		theirs string
		err    error
		runs   int
	}{{"1", nil, 1}, {"2", full, 2}, {"3", nil, 3}} {
		merged, err := ch.merge([]attr{text("a", tc.theirs)})
		if err != tc.err || runs != tc.runs || err != nil && merged != nil {
			t.Errorf("on %s: %q, %v, %d runs; want %v, %d runs", tc.theirs, texts(merged), err, runs, tc.err, tc.runs)
		}
	}
}

// A record with changes is another one; its idle time-out is the one that was
// set last, if any was.
func TestRecordWith(t *testing.T) {
	rec := &record{base: newBase(), maxInactive: time.Hour, attrs: []attr{text("a", "1")}}
	minute := time.Minute
	for _, tc := range []struct {
		reason string
		ch     changes
		want   string
	}{
		{"none", changes{}, "1h0m0s [a=1]"},
		{"a time-out", changes{maxInactive: &minute}, "1m0s [a=1]"},
		{"an attribute", changes{attrs: map[string]change{"a": {gone: true}}}, "1h0m0s []"},
	} {
		next, err := rec.with(&tc.ch)
		must(t, err)
		if got := fmt.Sprint(next.maxInactive, " ", texts(next.attrs)); got != tc.want || next.base != rec.base {
			t.Errorf("%s: got %s, want %s", tc.reason, got, tc.want)
		}
		if got := fmt.Sprint(rec.maxInactive, " ", texts(rec.attrs)); got != "1h0m0s [a=1]" || next == rec {
			t.Errorf("%s: the record itself has become %s", tc.reason, got)
		}
	}
}

// Changes that follow others do what both have done, and no more than the result
// of what was computed.
func TestChangesFollow(t *testing.T) {
	result := &record{attrs: []attr{{"a", 1, []byte("4")}, {"d", 1, []byte("5")}}}
	var ch, more changes
	ch.set(attr{"a", 1, []byte("1")})
	ch.set(attr{"b", 1, []byte("2")})
	ch.set(attr{"c", 1, []byte("3")})
	idle := time.Hour
	ch.maxInactive = &idle
	more.remove("b")
	// It has run again when it was published: another request was faster.
	more.compute(attr{"a", 1, []byte("1")}, true, attr{"a", 1, []byte("2")}, func(attr, bool) (attr, error) { return attr{}, errors.New("it ran once more") })
	more.set(attr{"d", 1, []byte("5")})
	ch.follow(&more, result)
	theirs, err := ch.merge([]attr{{"a", 1, []byte("theirs")}, {"b", 1, []byte("2")}, {"e", 1, []byte("6")}})
	must(t, err)
	if got, want := fmt.Sprint(texts(theirs)), "[a=4 c=3 d=5 e=6]"; got != want || *ch.maxInactive != time.Hour {
		t.Errorf("merged with what others have changed: %s, time-out %v, want %s and 1 h", got, *ch.maxInactive, want)
	}
}
