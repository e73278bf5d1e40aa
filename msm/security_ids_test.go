package msm

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// SR-12: an id counts in the cookie and nowhere else, and is never carried from
// there into a cookie.
func TestSR12_IDsInCookiesOnly(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.set(t, m, "who", "me")
		form := url.Values{"__Host-sid": {b.cookie}, "jsessionid": {b.cookie}}
		query := httptest.NewRequest("GET", "/?"+form.Encode(), nil)
		path := httptest.NewRequest("GET", "/a;jsessionid="+b.cookie+";__Host-sid="+b.cookie, nil)
		body := httptest.NewRequest("POST", "/", strings.NewReader(form.Encode()))
		body.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		header := httptest.NewRequest("GET", "/", nil)
		for _, name := range []string{"__Host-sid", "X-Session", "Authorization", "Cookie2", "Set-Cookie"} {
			header.Header.Set(name, "__Host-sid="+b.cookie)
		}
		before := ns.traffic()
		for name, r := range map[string]*http.Request{"query": query, "path": path, "body": body, "header": header} {
			w := httptest.NewRecorder()
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				r.ParseForm()
				if ok, err := From(r.Context()).Get("who", new(string)); ok || err != nil {
					t.Errorf("%s: Get = %v, %v; want nothing", name, ok, err)
				}
			})).ServeHTTP(w, r)
			if cookie := w.Header().Get("Set-Cookie"); cookie != "" {
				t.Errorf("%s: answered by %s", name, cookie)
			}
		}
		if got := ns.traffic() - before; got != 0 {
			t.Errorf("%d commands, want none", got)
		}
	})
}

// SR-49: neither the password nor a key is shown, however a Config is printed.
func TestSR49_ConfigHidesSecrets(t *testing.T) {
	key := []byte("0123456789abcdefFEDCBA9876543210")
	cfg := Config{MemcachedNodes: "n1:127.0.0.1:11211", Username: "jo", Password: "pass-word", ValueKeys: [][]byte{key}}
	js, err := json.Marshal(cfg)
	must(t, err)
	jsp, err := json.Marshal(&cfg)
	must(t, err)
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "cfg", cfg, "pointer", &cfg)
	shown := []string{string(js), string(jsp), logged.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, cfg), fmt.Sprintf(verb, &cfg))
	}
	bad := []string{cfg.Password, fmt.Sprintf("%x", cfg.Password), string(key), fmt.Sprintf("%x", key), fmt.Sprint(key), "MDEyMzQ1Njc4OWFi"}
	for _, text := range shown {
		for _, secret := range bad {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
	}
	if !strings.Contains(shown[3], "n1:127.0.0.1:11211") {
		t.Errorf("nothing useful is in %s", shown[3])
	}
}

// SR-65: a Session shows nothing of itself, however it is printed.
func TestSR65_SessionHidesItself(t *testing.T) {
	ns := startNodes(t, 1)
	b := new(browser)
	m := instance(t, nonStickyConfig(ns))
	b.set(t, m, "who", "secret-value")
	b.visit(m, func(s *Session) {
		_, err := s.Get("who", new(string))
		must(t, err)
		js, err := json.Marshal(map[string]any{"session": s})
		must(t, err)
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "session", s)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "session", s)
		shown := []string{string(js), logged.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, []any{s}))
		}
		for _, text := range shown {
			if strings.Contains(text, b.id(t).base) || strings.Contains(text, "secret") || strings.Contains(text, "who") || !strings.Contains(text, "msm.Session") {
				t.Errorf("printed as %s, want msm.Session alone", text)
			}
		}
	})
}

// SR-53: applications that share nodes never see each other's sessions.
func TestSR53_KeyNamespaces(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		shop, blog := cfg, cfg
		shop.Context, blog.Context = "/shop", "/blog"
		m1, m2 := instance(t, shop), instance(t, blog)
		b := new(browser)
		b.set(t, m1, "who", "me")
		other := b.clone()
		if got := other.get(t, m2, "who"); got != "" {
			t.Errorf("the other application shows who = %q", got)
		}
		other.set(t, m2, "who", "else")
		if other.id(t).base == b.id(t).base {
			t.Error("the other application took the id over")
		}
		b.clone().visit(m2, func(s *Session) { must(t, s.Invalidate()) })
		if got := b.get(t, m1, "who"); got != "me" {
			t.Errorf("who = %q, want me", got)
		}
	})
}

// bots sends n requests without cookie that look for a session.
func bots(t *testing.T, n int) {
	ns := startNodes(t, 2)
	for mode, cfg := range both(ns.config()) {
		h := instance(t, cfg).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := From(r.Context())
			_, err := s.Get("who", new(string))
			must(t, err)
			must(t, s.Delete("who"))
			_, err = s.Names()
			must(t, err)
			_, err = s.Info()
			must(t, err)
			must(t, s.Renew())
			must(t, s.Invalidate())
		}))
		for range n {
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); w.Header().Get("Set-Cookie") != "" {
				t.Fatalf("%s: a bot got a cookie", mode)
			}
		}
		if ns.traffic() != 0 || ns.items() != 0 {
			t.Errorf("%s: %d commands, %d items, want none", mode, ns.traffic(), ns.items())
		}
	}
}

// SR-54: requests that look for a session and have none create nothing. A
// million of them: make chaos.
func TestSR54_Bots(t *testing.T) { bots(t, 10_000) }
