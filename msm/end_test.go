package msm

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// SR-23, SR-27: a request that started before the end of its session and ends
// after it cannot bring it back.
func TestSlowRequestAcrossTheEnd(t *testing.T) {
	ends := map[string]func(s *Session) error{
		"Invalidate": (*Session).Invalidate,
		"Renew":      (*Session).Renew,
	}
	writes := map[string]func(s *Session) error{
		"Set":    func(s *Session) error { return s.Set("who", "slow") },
		"Delete": func(s *Session) error { return s.Delete("who") },
		"Update": func(s *Session) error {
			return visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil })
		},
		"SetMaxInactive": func(s *Session) error { return s.SetMaxInactive(-1) },
		"Renew":          (*Session).Renew,
	}
	ns := startNodes(t, 3)
	for mode, cfg := range modes(ns) {
		m := instance(t, cfg)
		other := cfg
		if other.Route != "" {
			other.Route = "tc2"
		}
		ms := map[string]*Manager{"same": m, "other": instance(t, other)}
		for how, end := range ends {
			for what, write := range writes {
				for where, m2 := range ms {
					t.Run(fmt.Sprintf("%s/%s/%s/at the %s instance", mode, how, what, where), func(t *testing.T) {
						slowRequest(t, m, m2, end, write)
					})
				}
			}
		}
	}
}

func slowRequest(t *testing.T, m, ender *Manager, end, write func(s *Session) error) {
	b := new(browser)
	b.set(t, m, "who", "me")
	old := b.clone()
	loaded, ended := make(chan bool), make(chan bool)
	done := make(chan *httptest.ResponseRecorder)
	var writeErr error
	go func() { // ends with its request, which the test waits for
		slow := old.clone()
		done <- slow.visit(m, func(s *Session) {
			if _, err := s.Get("who", new(string)); err != nil {
				t.Error(err)
			}
			close(loaded)
			<-ended
			writeErr = write(s)
		})
	}()
	<-loaded
	b.visit(ender, func(s *Session) { must(t, end(s)) })
	close(ended)
	w := <-done
	if w.Code == http.StatusOK && writeErr == nil {
		t.Errorf("the slow request got %d and no error, want either", w.Code)
	}
	if writeErr != nil && !errors.Is(writeErr, ErrInvalidated) {
		t.Errorf("the slow request's write: %v, want ErrInvalidated", writeErr)
	}
	if cookie := w.Header().Get("Set-Cookie"); cookie != "" {
		t.Errorf("the slow request sent a cookie: %s", cookie)
	}
	for _, at := range []*Manager{m, ender} {
		if got := old.clone().get(t, at, "who"); got != "" {
			t.Errorf("the old cookie is still shown who = %q", got)
		}
	}
	if b.cookie == "" {
		return // invalidated
	}
	if got := b.get(t, ender, "who"); got != "me" {
		t.Errorf("after Renew the new cookie is shown who = %q, want me", got)
	}
}

// For a while after Renew the old cookie comes from parallel requests of the
// same browser: it begins no session, and sends no cookie that would replace the
// new one.
func TestOldCookieAfterRenew(t *testing.T) {
	ns := startNodes(t, 2)
	for mode, cfg := range modes(ns) {
		t.Run(mode, func(t *testing.T) {
			m := instance(t, cfg)
			b := new(browser)
			b.set(t, m, "who", "me")
			old := b.clone()
			b.visit(m, func(s *Session) { must(t, s.Renew()) })
			if b.id(t).base == old.id(t).base {
				t.Fatal("Renew kept the id")
			}
			for _, at := range []*Manager{m, instance(t, cfg)} {
				w := old.clone().visit(at, func(s *Session) {
					if err := s.Set("who", "else"); !errors.Is(err, ErrInvalidated) {
						t.Errorf("Set = %v, want ErrInvalidated", err)
					}
				})
				if cookie := w.Header().Get("Set-Cookie"); cookie != "" {
					t.Errorf("the old cookie was answered by %s", cookie)
				}
			}
			if got := b.get(t, m, "who"); got != "me" {
				t.Errorf("who = %q, want me", got)
			}
		})
	}
}

func TestSessionAfterInvalidate(t *testing.T) {
	ns := startNodes(t, 2)
	for mode, cfg := range modes(ns) {
		t.Run(mode, func(t *testing.T) {
			m := instance(t, cfg)
			b := new(browser)
			b.set(t, m, "who", "me")
			old := b.clone()
			b.visit(m, func(s *Session) {
				must(t, s.Invalidate())
				if ok, err := s.Get("who", new(string)); ok || err != nil {
					t.Errorf("Get after Invalidate = %v, %v; want nothing", ok, err)
				}
				must(t, s.Set("flash", "bye"))
			})
			if got := b.get(t, m, "flash"); got != "bye" || b.id(t).base == old.id(t).base {
				t.Errorf("flash = %q in session %v, want bye in a new one", got, b.id(t))
			}
			if got := b.get(t, m, "who"); got != "" {
				t.Errorf("who = %q in the new session, want nothing", got)
			}
			if got := old.get(t, m, "who"); got != "" {
				t.Errorf("the old cookie is shown who = %q", got)
			}
		})
	}
}
