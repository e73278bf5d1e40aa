package msm

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const testBase = "abcdefghijklmnopqrstuvwxyz234567"

func TestSR01_IDsAreUniformAndUnique(t *testing.T) { uniform(t, 100_000) }

// uniform makes n ids.
func uniform(t *testing.T, n int) {
	const alphabet = testBase
	seen := make(map[string]bool, n)
	var counts [baseLen][256]int
	for range n {
		base := newBase()
		if len(base) != baseLen {
			t.Fatalf("newBase() = %d characters, want %d", len(base), baseLen)
		}
		if seen[base] {
			t.Fatal("newBase() returned one id twice")
		}
		seen[base] = true
		for i := range len(base) {
			counts[i][base[i]]++
		}
	}
	// 31 degrees of freedom: 95 is exceeded once in 10 million positions.
	const limit = 95.0
	for i := range counts {
		want := float64(n) / float64(len(alphabet))
		chi := 0.0
		for _, c := range []byte(alphabet) {
			d := float64(counts[i][c]) - want
			chi += d * d / want
		}
		if chi > limit || math.IsNaN(chi) {
			t.Errorf("position %d: chi-square = %.1f, want at most %.1f", i, chi, limit)
		}
	}
}

func TestSR02_IDAlphabet(t *testing.T) {
	form := regexp.MustCompile(`^[a-z2-7]{32}$`)
	for range 1000 {
		if base := newBase(); !form.MatchString(base) {
			t.Fatalf("newBase() = %q, want a match of %s", base, form)
		}
	}
}

var idCases = []struct {
	name, reason, in string
	want             sessionID
	ok               bool
}{
	{"base alone", "one node without id", testBase, sessionID{base: testBase}, true},
	{"node", "the usual cookie", testBase + "-n1", sessionID{base: testBase, node: "n1"}, true},
	{"node of all kinds of characters", "upper case and underscore are allowed", testBase + "-Node_01", sessionID{base: testBase, node: "Node_01"}, true},
	{"epoch", "after a relocation", testBase + "-n1~1", sessionID{base: testBase, node: "n1", epoch: 1}, true},
	{"largest epoch", "16 bits", testBase + "-n1~1ekf", sessionID{base: testBase, node: "n1", epoch: 65535}, true},
	{"route", "jvmRoute without node", testBase + ".tc1", sessionID{base: testBase, route: "tc1"}, true},
	{"everything", "all four parts", testBase + "-n1~z.tc1", sessionID{base: testBase, node: "n1", epoch: 35, route: "tc1"}, true},
	{"ID-08 route with dots", "host names are routes", testBase + "-n1.tc1.example.com", sessionID{base: testBase, node: "n1", route: "tc1.example.com"}, true},
	{"route with dash", "MSM's foo-n.j-v-m1", testBase + "-n1.j-v-m1", sessionID{base: testBase, node: "n1", route: "j-v-m1"}, true},
	{"route with dash, no node", "the dash is the route's", testBase + ".j-v-m1", sessionID{base: testBase, route: "j-v-m1"}, true},
	{"route like a node", "only the first dot counts", testBase + ".a-n1", sessionID{base: testBase, route: "a-n1"}, true},
	{"longest parts", "32 and 64 are the limits", testBase + "-" + strings.Repeat("n", 32) + "~1ekf." + strings.Repeat("r", 64),
		sessionID{base: testBase, node: strings.Repeat("n", 32), epoch: 65535, route: strings.Repeat("r", 64)}, true},

	{"empty", "no cookie", "", sessionID{}, false},
	{"short base", "31 characters", testBase[1:], sessionID{}, false},
	{"long base", "33 characters", testBase + "a", sessionID{}, false},
	{"upper case base", "one spelling per id", strings.ToUpper(testBase), sessionID{}, false},
	{"digit 0 in base", "not in base32", "0" + testBase[1:], sessionID{}, false},
	{"digit 8 in base", "not in base32", "8" + testBase[1:], sessionID{}, false},
	{"empty node", "a dash announces a node", testBase + "-", sessionID{}, false},
	{"empty node before route", "likewise", testBase + "-.tc1", sessionID{}, false},
	{"empty node before epoch", "an epoch belongs to a node", testBase + "-~1", sessionID{}, false},
	{"epoch without node", "likewise", testBase + "~1", sessionID{}, false},
	{"node too long", "33 characters", testBase + "-" + strings.Repeat("n", 33), sessionID{}, false},
	{"node with dash", "MSM's foo-a-b would be ambiguous", testBase + "-a-b", sessionID{}, false},
	{"empty epoch", "a tilde announces one", testBase + "-n1~", sessionID{}, false},
	{"epoch 0", "is written by leaving it out", testBase + "-n1~0", sessionID{}, false},
	{"leading zero in epoch", "one spelling per id", testBase + "-n1~01", sessionID{}, false},
	{"upper case epoch", "one spelling per id", testBase + "-n1~A", sessionID{}, false},
	{"epoch beyond 16 bits", "65536", testBase + "-n1~1ekg", sessionID{}, false},
	{"largest four characters", "zzzz is 1679615", testBase + "-n1~zzzz", sessionID{}, false},
	{"epoch of five characters", "over the limit", testBase + "-n1~00001", sessionID{}, false},
	{"signed epoch", "strconv would take it", testBase + "-n1~+1", sessionID{}, false},
	{"underscore in epoch", "strconv would take it in base 0", testBase + "-n1~1_0", sessionID{}, false},
	{"two epochs", "one is enough", testBase + "-n1~1~2", sessionID{}, false},
	{"empty route", "a dot announces one", testBase + "-n1.", sessionID{}, false},
	{"route too long", "65 characters", testBase + "." + strings.Repeat("r", 65), sessionID{}, false},
	{"tilde in route", "not a route's", testBase + ".a~b", sessionID{}, false},
}

// ID-01: every form of an id, and what is none. Nothing is cut off or mended, as
// MSM does.
func TestParseID(t *testing.T) {
	for _, tc := range idCases {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := parseID(tc.in)
			if ok != tc.ok {
				t.Fatalf("parseID(%q) accepted = %v, want %v: %s", tc.in, ok, tc.ok, tc.reason)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(sessionID{})); diff != "" {
				t.Errorf("parseID(%q), %s (-want +got):\n%s", tc.in, tc.reason, diff)
			}
			if ok && got.String() != tc.in {
				t.Errorf("String() = %q, want %q", got.String(), tc.in)
			}
		})
	}
}

// SR-03: sessions.md says 128 bytes; the grammar of copies.md, which replaces
// it, 160.
func TestSR03_OverlongIDIsRefusedUnread(t *testing.T) {
	long := testBase + "." + strings.Repeat("r", 1<<20)
	allocs := testing.AllocsPerRun(100, func() {
		if _, ok := parseID(long); ok {
			t.Fatal("parseID accepted 1 MiB")
		}
	})
	if allocs != 0 {
		t.Errorf("refusing 1 MiB costs %v allocations, want 0", allocs)
	}
	// Nothing over the limit passes, whatever its parts are.
	for n := maxIDLen + 1; n < maxIDLen+40; n++ {
		if _, ok := parseID((testBase + "." + strings.Repeat("r", n))[:n]); ok {
			t.Errorf("parseID accepted %d bytes", n)
		}
	}
}

// SR-04, ID-09: one foreign byte anywhere makes the value no id at all.
func TestSR04_ForeignBytesAreRefused(t *testing.T) {
	whole := testBase + "-n1~z.tc1"
	for _, c := range []byte(" \r\n\t\x00\x7f\x80\xff%\"'\\;,:/=+*?&<>()[]{}@!#$^|`") {
		for i := range len(whole) {
			for _, s := range []string{whole[:i] + string(c) + whole[i+1:], whole[:i] + string([]byte{c}) + whole[i:]} {
				if _, ok := parseID(s); ok {
					t.Errorf("parseID(%q) was accepted", s)
				}
			}
		}
	}
}

// FuzzParseID: what is accepted is written back byte for byte, and with it
// every other claim about accepted ids (SR-04, SR-05).
func FuzzParseID(f *testing.F) {
	for _, tc := range idCases {
		f.Add(tc.in)
	}
	form := regexp.MustCompile(`^[a-z2-7]{32}(-[A-Za-z0-9_]{1,32}(~[1-9a-z][0-9a-z]{0,3})?)?(\.[A-Za-z0-9_.-]{1,64})?$`)
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := parseID(s)
		if !ok {
			if id != (sessionID{}) {
				t.Fatalf("parseID(%q) refused and returned %+v", s, id)
			}
			return
		}
		if len(s) > maxIDLen || !form.MatchString(s) {
			t.Fatalf("parseID(%q) accepted what the grammar does not", s)
		}
		if got := id.String(); got != s {
			t.Fatalf("parseID(%q).String() = %q", s, got)
		}
		if again, ok := parseID(id.publicString()); !ok || again.epoch != 0 || again.base != id.base || again.node != id.node || again.route != id.route {
			t.Fatalf("parseID(publicString() = %q) = %+v, %v", id.publicString(), again, ok)
		}
	})
}

func TestPublicStringHasNoEpoch(t *testing.T) {
	id := sessionID{base: testBase, node: "n1", epoch: 35, route: "tc1"}
	if got, want := id.publicString(), testBase+"-n1.tc1"; got != want {
		t.Errorf("publicString() = %q, want %q", got, want)
	}
	if id.epoch != 35 {
		t.Error("publicString changed the id")
	}
}

// SR-05, SR-47, ID-04, ID-05: keys hold a hash, never the id, and only characters that
// memcached takes.
func TestSR05_StorageKeys(t *testing.T) {
	form := regexp.MustCompile(`^app_(lock:)?[A-Za-z0-9_-]{27}$`)
	k := keyspace{prefix: "app_"}
	for range 100 {
		base := newBase()
		sum := sha256.Sum256([]byte(base))
		hash := base64.URLEncoding.EncodeToString(sum[:])[:27]
		session, lock := k.session(base), k.lock(base)
		if want := "app_" + hash; session != want {
			t.Errorf("session key = %q, want %q", session, want)
		}
		if want := "app_lock:" + hash; lock != want {
			t.Errorf("lock key = %q, want %q", lock, want)
		}
		for _, key := range []string{session, lock} {
			if !form.MatchString(key) || strings.Contains(key, base) {
				t.Errorf("key = %q, want a match of %s without the id", key, form)
			}
		}
	}
}

func TestIDAllocations(t *testing.T) {
	whole := testBase + "-n1~z.tc1"
	id, _ := parseID(whole)
	k := keyspace{prefix: "app_"}
	var sink string
	for _, tc := range []struct {
		name string
		want float64
		f    func()
	}{
		{"parseID", 0, func() { id, _ = parseID(whole) }},
		{"String", 1, func() { sink = id.String() }},
		{"newBase", 2, func() { sink = newBase() }},
		{"session key", 1, func() { sink = k.session(testBase) }},
	} {
		if got := testing.AllocsPerRun(100, tc.f); got > tc.want {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, got, tc.want)
		}
	}
	_ = sink
}
