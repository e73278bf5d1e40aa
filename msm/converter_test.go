package msm

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// link is how an application might want its URLs stored.
var link = NewConverter(
	func(u url.URL) ([]byte, error) { return []byte("link " + u.String()), nil },
	func(data []byte) (url.URL, error) {
		text, ok := strings.CutPrefix(string(data), "link ")
		if !ok {
			return url.URL{}, errors.New("no link")
		}
		u, err := url.Parse(text)
		if err != nil {
			return url.URL{}, err
		}
		return *u, nil
	},
)

// A type with a converter is written by it, with and without a pointer, and all
// others by the transcoder behind it, whose mark they have.
func TestConverting(t *testing.T) {
	home := url.URL{Scheme: "https", Host: "example.com", Path: "/a b"}
	for _, tt := range []struct {
		name  string
		t     Transcoder
		value any
		mark  byte
		text  string // what the bytes hold
	}{
		{"its type", Converting(JSON, link), home, codecCustom, "link https://example.com/a%20b"},
		{"a pointer to it", Converting(JSON, link), &home, codecCustom, "link https"},
		{"another type", Converting(JSON, link), "https", codecJSON, `"https"`},
		{"a type whose methods say how", Converting(JSON, link), netip.MustParseAddr("::1"), codecJSON, `"::1"`},
		{"compressed", Compressed(Converting(JSON, link), S2, 1000), home, codecCustom | codecCompressed, "link"},
		{"before compression", Converting(Compressed(JSON, S2, 1000), link), "https", codecJSON | codecCompressed, `"https"`},
		{"the last one counts", Converting(JSON, NewConverter(func(url.URL) ([]byte, error) { return nil, errors.New("not this one") }, nil), link), home, codecCustom, "link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCodecs(tt.t)
			mark, data, err := c.encode(tt.value)
			if err != nil || mark != tt.mark || !strings.Contains(string(data), tt.text) {
				t.Fatalf("mark %d, %q, %v; want mark %d and %q", mark, data, err, tt.mark, tt.text)
			}
			switch want := tt.value.(type) {
			case url.URL:
				comesBack(t, c, mark, data, want)
			case *url.URL:
				comesBack(t, c, mark, data, *want)
			case string:
				comesBack(t, c, mark, data, want)
				comesBack(t, newCodecs(Gob), mark, data, want) // without converters
			}
		})
	}
}

func comesBack[T any](t *testing.T, c codecs, mark byte, data []byte, want T) {
	t.Helper()
	var got T
	if err := c.decode(mark, data, &got); err != nil {
		t.Errorf("%T: %v", want, err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%T differs (-want +got):\n%s", want, diff)
	}
}

// What a converter refuses is ErrDecode for its attribute, and so is what it had
// written when it is not configured any more; the rest of the session lives on.
func TestConvertersFail(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := ns.config()
	cfg.NonSticky = true
	cfg.Transcoder = Converting(JSON, link)
	m := instance(t, cfg)
	b := ann(t, m)
	b.set(t, m, "home", url.URL{Host: "example.com"})
	cfg.Transcoder = nil
	must(t, m.Reconfigure(cfg))
	for range 2 {
		b.visit(m, func(s *Session) {
			if ok, err := s.Get("home", new(url.URL)); !ok || !errors.Is(err, ErrDecode) {
				t.Errorf("without its converter: %v, %v; want %v", ok, err, ErrDecode)
			}
			must(t, visits.Set(s, 1)) // stores the session
		})
	}
	if got := b.get(t, m, "user"); got != "ann" {
		t.Errorf("the other attribute says %q, want ann", got)
	}
	cfg.Transcoder = Converting(JSON, link)
	must(t, m.Reconfigure(cfg))
	b.visit(m, func(s *Session) {
		var home url.URL
		if ok, err := s.Get("home", &home); !ok || err != nil || home.Host != "example.com" {
			t.Errorf("with its converter again: %v, %v, %v", home, ok, err)
		}
	})
	c := newCodecs(cfg.Transcoder)
	if err := c.decode(codecCustom, []byte("garbage"), new(url.URL)); err == nil {
		t.Error("garbage is a link")
	}
	if err := c.configured.Decode([]byte("link x"), url.URL{}); err == nil {
		t.Error("a value that is no pointer was decoded into")
	}
}

// MSM's copyCollectionsForSerialization: a value is encoded when it is set. What
// its handler does to it afterwards, while the session is stored in the background,
// tears nothing; the race detector watches.
func TestHandlersGoOnChangingTheirValues(t *testing.T) {
	for _, nonSticky := range []bool{false, true} {
		ns := startNodes(t, 2)
		cfg := ns.config()
		cfg.NonSticky = nonSticky
		m := instance(t, cfg)
		b := new(browser)
		cart := map[string][]int{"articles": {0}}
		for round := range 20 {
			b.visit(m, func(s *Session) {
				cart["articles"][0] = round
				must(t, s.Set("cart", cart))
				must(t, s.Save(t.Context()))
				for i := range 50 { // while copies are on their way
					cart["articles"][0] = -1
					cart[string(rune('a'+i%26))] = []int{i}
				}
			})
			var stored map[string][]int
			other := instance(t, cfg) // which has the session from memcached
			rest(t, m)
			b.clone().visit(other, func(s *Session) {
				_, err := s.Get("cart", &stored)
				must(t, err)
			})
			if got := stored["articles"]; len(got) != 1 || got[0] != round {
				t.Fatalf("%s: stored are %v in round %d", modeName(nonSticky), got, round)
			}
		}
	}
}
