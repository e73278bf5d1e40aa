package msm

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func randomKey() []byte {
	key := make([]byte, valueKeyLen)
	rand.Read(key)
	return key
}

func mustSealer(t testing.TB, keys ...[]byte) *sealer {
	t.Helper()
	s, err := newSealer(keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSeal(t testing.TB, s *sealer, storageKey string, plain []byte) []byte {
	t.Helper()
	sealed, err := s.seal(storageKey, plain)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

var plainRecord = (&record{base: testBase, attrs: []attr{{"user", codecJSON, []byte(`"jo"`)}}}).appendTo(nil)

func TestSealRoundTrip(t *testing.T) {
	s := mustSealer(t, randomKey())
	one := mustSeal(t, s, "k1", plainRecord)
	two := mustSeal(t, s, "k1", plainRecord)
	if bytes.Equal(one, two) {
		t.Error("the same record was sealed twice to the same bytes: the nonce is not random")
	}
	if bytes.Contains(one, []byte("user")) || bytes.Contains(one, []byte(testBase)) {
		t.Error("the sealed value shows what is in it")
	}
	for _, sealed := range [][]byte{one, two} {
		got, err := s.open("k1", sealed)
		if err != nil || !bytes.Equal(got, plainRecord) {
			t.Errorf("open = %x, %v; want %x", got, err, plainRecord)
		}
	}
}

func TestSealWithoutKeysPassesThrough(t *testing.T) {
	s := mustSealer(t)
	got := mustSeal(t, s, "k1", plainRecord)
	if &got[0] != &plainRecord[0] {
		t.Error("seal copied the record, want the record itself")
	}
	got, err := s.open("k1", plainRecord)
	if err != nil || &got[0] != &plainRecord[0] {
		t.Errorf("open = %x, %v; want the record itself", got, err)
	}
}

// SR-34: a sealed value opens under its own key of its own manager only.
func TestSR34_SealedValuesCannotBeSwapped(t *testing.T) {
	key := randomKey()
	s := mustSealer(t, key)
	sealed := mustSeal(t, s, "app_k1", plainRecord)
	for _, tc := range []struct {
		name, storageKey string
		s                *sealer
	}{
		{"another session", "app_k2", s},
		{"another manager", "other_k1", s},
		{"longer key", "app_k1x", s},
		{"another value key", "app_k1", mustSealer(t, randomKey())},
		{"no value key", "app_k1", mustSealer(t)},
	} {
		if got, err := tc.s.open(tc.storageKey, sealed); !errors.Is(err, errNotRecord) || got != nil {
			t.Errorf("%s: open = %x, %v; want errNotRecord", tc.name, got, err)
		}
	}
	// The attributes of two values cannot be exchanged either: every bit counts.
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if got, err := s.open("app_k1", changed); err == nil || got != nil {
			t.Errorf("byte %d changed: open = %x, %v; want an error", i, got, err)
		}
	}
	for n := range sealed {
		if got, err := s.open("app_k1", sealed[:n]); !errors.Is(err, errNotRecord) || got != nil {
			t.Errorf("cut after %d bytes: open = %x, %v; want errNotRecord", n, got, err)
		}
	}
}

// SR-36: open authenticates everything before it returns anything, and what it
// returns is what parseRecord then reads; a forged record is never parsed.
// SR-37: with keys, a plain value is no way around them.
func TestSR37_PlainValuesAreRefusedWithKeys(t *testing.T) {
	s := mustSealer(t, randomKey())
	if got, err := s.open("k1", plainRecord); !errors.Is(err, errNotRecord) || got != nil {
		t.Errorf("open of a plain record = %x, %v; want errNotRecord", got, err)
	}
	// Nor is a sealed header with a plain record behind it.
	forged := append([]byte{formatMark, formatSealed, s.keys[0].id[0], s.keys[0].id[1], s.keys[0].id[2], s.keys[0].id[3]}, plainRecord...)
	if got, err := s.open("k1", forged); !errors.Is(err, errNotRecord) || got != nil {
		t.Errorf("open of a forged value = %x, %v; want errNotRecord", got, err)
	}
	if _, err := s.open("k1", []byte{formatMark, formatSealed + 1, 0}); !errors.Is(err, errNewerFormat) {
		t.Errorf("open of a newer format = %v, want errNewerFormat", err)
	}
}

// SR-38: keys rotate without logging anybody out.
func TestSR38_KeyRotation(t *testing.T) {
	older, newer := randomKey(), randomKey()
	before, during, after := mustSealer(t, older), mustSealer(t, newer, older), mustSealer(t, newer)
	old := mustSeal(t, before, "k1", plainRecord)
	if got, err := during.open("k1", old); err != nil || !bytes.Equal(got, plainRecord) {
		t.Errorf("after the rotation: open = %x, %v; want the record", got, err)
	}
	fresh := mustSeal(t, during, "k1", plainRecord)
	if _, err := after.open("k1", fresh); err != nil {
		t.Errorf("what was sealed during the rotation is not sealed with the first key: %v", err)
	}
	if _, err := after.open("k1", old); !errors.Is(err, errNotRecord) {
		t.Errorf("a removed key still opens: %v", err)
	}
}

// SR-38: a request that began under the old key neither takes for damaged what
// others have stored under the new one, nor stores what they cannot read.
func TestSR38_KeyRotationWhileRequestsRun(t *testing.T) {
	older, newer := randomKey(), randomKey()
	for _, after := range [][][]byte{{newer, older}, {newer}} {
		cfg := startNodes(t, 2).config()
		cfg.NonSticky, cfg.ValueKeys = true, [][]byte{older}
		m := instance(t, cfg)
		b := newVisitor(t, m)
		w := b.visit(m, func(s *Session) {
			must(t, s.Set("before", "kept"))
			cfg.ValueKeys = [][]byte{newer, older}
			must(t, m.Reconfigure(cfg))
			b.clone().set(t, m, "meanwhile", "kept")
			cfg.ValueKeys = after
			must(t, m.Reconfigure(cfg))
		})
		for _, name := range []string{"before", "meanwhile"} {
			if got := b.get(t, m, name); got != "kept" {
				t.Errorf("status %d, and %q is %q, want 200 and what was set while the keys changed to %d", w.Code, name, got, len(after))
			}
		}
	}
}

func TestSealOfKeysWithTheSameID(t *testing.T) {
	s := mustSealer(t, randomKey(), randomKey())
	second := &sealer{keys: s.keys[1:]}
	s.keys[0].id = s.keys[1].id
	if _, err := s.open("k1", mustSeal(t, second, "k1", plainRecord)); err != nil {
		t.Errorf("open = %v, want nil: the second key of that id opens it", err)
	}
}

func TestSR70_ValueKeysAreChecked(t *testing.T) {
	good := randomKey()
	_, err := newSealer([][]byte{good, good, make([]byte, 16), make([]byte, 32), nil})
	if err == nil {
		t.Fatal("newSealer = nil, want an error")
	}
	want := []string{"[1]: is the same as ValueKeys[0]", "[2]: has 16 bytes: use 32", "[3]: is all zeros", "[4]: has 0 bytes"}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d problems, want %d:\n%v", len(lines), len(want), err)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], "msm: Config.ValueKeys"+w) {
			t.Errorf("problem %d = %q, want %q", i, lines[i], w)
		}
	}
	if strings.Contains(err.Error(), fmt.Sprintf("%x", good)) || strings.Contains(err.Error(), string(good)) {
		t.Error("the error shows a key")
	}

	// The caller may wipe its keys.
	s := mustSealer(t, good)
	sealed := mustSeal(t, s, "k1", plainRecord)
	clear(good)
	if _, err := s.open("k1", sealed); err != nil {
		t.Errorf("after the caller wiped its key: %v", err)
	}
}

// FuzzOpen: nothing opens but what was sealed under that key.
func FuzzOpen(f *testing.F) {
	key := bytes.Repeat([]byte{7}, valueKeyLen)
	s := mustSealer(f, key)
	sealed := mustSeal(f, s, "k1", plainRecord)
	f.Add("k1", sealed)
	f.Add("k2", sealed)
	f.Add("k1", plainRecord)
	f.Add("k1", sealed[:20])
	f.Fuzz(func(t *testing.T, storageKey string, data []byte) {
		plain, err := s.open(storageKey, data)
		if err != nil {
			if plain != nil || !errors.Is(err, errNotRecord) && !errors.Is(err, errNewerFormat) {
				t.Fatalf("open = %x, %v", plain, err)
			}
			return
		}
		if storageKey != "k1" || !bytes.Equal(plain, plainRecord) {
			t.Fatalf("open(%q, %x) = %x: forged", storageKey, data, plain)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s := mustSealer(b, randomKey())
	plain := make([]byte, 2000)
	sealed := mustSeal(b, s, "app_0123456789012345678901234", plain)
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.seal("app_0123456789012345678901234", plain)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.open("app_0123456789012345678901234", sealed)
		}
	})
}
