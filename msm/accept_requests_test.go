package msm

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed99545744/msm/memcache"
)

// ID-07: a prefix with characters that mean something in ids changes nothing.
func TestID07_PrefixesAndPlaces(t *testing.T) {
	for _, context := range []string{"/my-app", "www.example.com", "/app##1.0", "a-n1.tc1"} {
		t.Run(context, func(t *testing.T) {
			inBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.Context = context
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "me")
				if _, ok := ns.node(b.id(t).node).Get(keyspace{context + "_"}.session(b.id(t).base)); !ok {
					t.Errorf("%s does not have it under its prefix", b.id(t).node)
				}
				if got := b.get(t, instance(t, cfg), "who"); got != "me" {
					t.Errorf("who = %q, want me", got)
				}
			})
		})
	}
}

// ID-08: routes with dots, as host names have them.
func TestID08_RouteWithDots(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.Route = "tc1.example.com"
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		if got := b.id(t); got.route != cfg.Route || len(ns.copies(got.base)) != 2 {
			t.Errorf("id %v with %d copies, want 2", got, len(ns.copies(got.base)))
		}
		if _, cookie := b.look(t, m); cookie != "" {
			t.Errorf("a second cookie: %s", cookie)
		}
	})
}

// REQ-03: the session that a request begins is stored under the id that its
// response's cookie has.
func TestREQ03_StoredUnderTheCookiesID(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		b := new(browser)
		var id string
		b.visit(instance(t, cfg), func(s *Session) {
			var err error
			id, err = s.ID()
			must(t, err)
		})
		if got := b.id(t).publicString(); got != id || len(ns.copies(b.id(t).base)) != 2 {
			t.Errorf("the handler saw %s, the cookie has %s, %d copies; want the same and 2", id, got, len(ns.copies(b.id(t).base)))
		}
	})
}

// REQ-04, NST-27, NST-28: requests that match the pattern send nothing, set no
// cookie, and do not harm the session that other requests use.
func TestREQ04_IgnoredRequests(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.RequestURIIgnorePattern = `.*\.(png|gif)`
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		before := ns.traffic()
		for _, b := range []*browser{b.clone(), new(browser), {cookie: testBase + "-n1"}} {
			w := b.serve(m, "/pixel.gif?x=1", func(w http.ResponseWriter, r *http.Request) {
				s := From(r.Context())
				_, getErr := s.Get("who", new(string))
				_, idErr := s.ID()
				for _, err := range []error{getErr, idErr, s.Set("who", "pixel"), s.Renew(), s.Invalidate(), s.Save(r.Context())} {
					if err != errIgnored {
						t.Errorf("a method returned %v, want %v", err, errIgnored)
					}
				}
			})
			if cookie := w.Header().Get("Set-Cookie"); cookie != "" || w.Code != http.StatusOK {
				t.Errorf("status %d with cookie %q, want 200 without", w.Code, cookie)
			}
		}
		if got := ns.traffic() - before; got != 0 {
			t.Errorf("%d commands, want none", got)
		}
		b.set(t, m, "who", "me again")
		if got := b.get(t, instance(t, cfg), "who"); got != "me again" {
			t.Errorf("who = %q, want me again", got)
		}
	})
}

// REQ-05, Row 19: a handler that panics has its changes dropped, its session stays as it
// was and in use. Java stores them.
func TestREQ05_Panic(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		for _, why := range []any{"a bug", http.ErrAbortHandler} {
			before := ns.stores()
			crash(func() {
				b.clone().visit(m, func(s *Session) {
					must(t, s.Set("who", "half done"))
					panic(why)
				})
			})
			if got := ns.stores() - before; got != 0 {
				t.Errorf("%d stores, want none", got)
			}
			if got := b.get(t, m, "who"); got != "me" {
				t.Errorf("who = %q, want me", got)
			}
		}
	})
}

// REQ-06: an instance that takes a session over while its node is down does both
// at once: one cookie with the new route and the new node.
func TestREQ06_TakeOverAndRelocation(t *testing.T) {
	ns := startNodes(t, 3)
	cfg1, cfg2 := stickyConfig(ns, "tc1"), stickyConfig(ns, "tc2")
	cfg1.SessionBackupSync = true
	m1, m2 := instance(t, cfg1), instance(t, cfg2)
	b := new(browser)
	b.set(t, m1, "who", "me")
	old := b.id(t)
	ns.kill(old.node)
	w := b.visit(m2, func(s *Session) {
		var who string
		if _, err := s.Get("who", &who); err != nil || who != "me" {
			t.Errorf("who = %q, %v; want me", who, err)
		}
	})
	if now := b.id(t); len(w.Header()["Set-Cookie"]) != 1 || now.base != old.base || now.route != "tc2" || now.node == old.node || now.node == "" {
		t.Errorf("cookies %v, want one for tc2 and another node than %s", w.Header()["Set-Cookie"], old.node)
	}
	if _, cookie := b.look(t, m2); cookie != "" {
		t.Errorf("a second cookie: %s", cookie)
	}
}

// REQ-07: a session is stored whether or not its cookie will ever come back.
func TestREQ07_CookieNotKept(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		for range 5 {
			new(browser).set(t, m, "who", "me")
		}
		if got := ns.items(); got != 10 {
			t.Errorf("%d items, want two copies of 5 sessions", got)
		}
	})
}

// REQ-08: the cookie of a session that moved has all attributes of the first.
func TestREQ08_RelocationCookie(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := nonStickyConfig(ns)
	cfg.Cookie = Cookie{Name: "id", Path: "/app", Domain: "example.com", SameSite: http.SameSiteStrictMode}
	m := instance(t, cfg)
	cookie := ""
	visit := func() (now string) {
		r := httptest.NewRequest("GET", "/", nil)
		name, _, _ := strings.Cut(cookie, ";")
		r.Header.Set("Cookie", name)
		w := httptest.NewRecorder()
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			must(t, visits.Update(From(r.Context()), func(n int, _ bool) (int, error) { return n + 1, nil }))
		})).ServeHTTP(w, r)
		return w.Header().Get("Set-Cookie")
	}
	cookie = visit()
	value, attrs, _ := strings.Cut(cookie, ";")
	id, _ := parseID(strings.TrimPrefix(value, "id="))
	ns.kill(id.node)
	moved := visit()
	newValue, newAttrs, _ := strings.Cut(moved, ";")
	now, ok := parseID(strings.TrimPrefix(newValue, "id="))
	if !ok || now.base != id.base || now.node == id.node || newAttrs != attrs {
		t.Errorf("moved: %s\nfirst: %s\nwant another node and the same attributes", moved, cookie)
	}
	if want := " Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=Strict"; attrs != want {
		t.Errorf("attributes%s, want%s", attrs, want)
	}
}

// What a handler changes after its headers have left is stored when it saves it
// or returns, in a session whose cookie the browser has; none can begin then.
func TestChangesAfterTheHeaders(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		b.serve(m, "/", func(w http.ResponseWriter, r *http.Request) {
			s := From(r.Context())
			must(t, s.Set("event", "1"))
			must(t, http.NewResponseController(w).Flush())
			must(t, s.Set("event", "2"))
			must(t, s.Save(r.Context()))
			if got := b.clone().get(t, m, "event"); got != "2" {
				t.Errorf("saved: event = %q, want 2", got)
			}
			must(t, s.Set("event", "3"))
			if err := s.Renew(); !errors.Is(err, ErrCommitted) {
				t.Errorf("Renew = %v, want ErrCommitted", err)
			}
		})
		cfg.Route = "tc2"
		if got := b.get(t, instance(t, cfg), "event"); got != "3" {
			t.Errorf("afterwards: event = %q, want 3", got)
		}
		items := ns.items()
		new(browser).serve(m, "/", func(w http.ResponseWriter, r *http.Request) {
			must(t, http.NewResponseController(w).Flush())
			if err := From(r.Context()).Set("who", "nobody"); !errors.Is(err, ErrCommitted) {
				t.Errorf("Set = %v, want ErrCommitted", err)
			}
		})
		if got := ns.items(); got != items {
			t.Errorf("%d items, want %d: nobody knows the new session", got, items)
		}
	})
}

// SR-50: nothing but the configured nodes is ever connected to, whatever cookies
// say.
func TestSR50_OnlyConfiguredNodesAreDialled(t *testing.T) {
	ns := startNodes(t, 2)
	w := newWire(t, ns, memcache.Config{})
	for _, cfg := range both(w.config()) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		for _, suffix := range []string{"-n3", "-evil_example_com", "-n1.127.0.0.1", ".evil.example.com", "-localhost~z.n1"} {
			for _, base := range []string{b.id(t).base, testBase} {
				(&browser{base + suffix}).visit(m, func(s *Session) { s.Get("who", new(string)) })
			}
		}
	}
	for _, id := range w.dials() {
		if id != "n1" && id != "n2" {
			t.Errorf("%s was dialled, which is no node", id)
		}
	}
}
