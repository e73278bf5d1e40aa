package msm

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// ear hears whatever is said where it does not belong.
type ear struct {
	mu      sync.Mutex // guards what follows
	heard   bytes.Buffer
	secrets []string
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.Write(p)
}

// hear takes errors in.
func (e *ear) hear(errs ...error) {
	for _, err := range errs {
		if err != nil {
			fmt.Fprintf(e, "%v %+v %#v\n", err, err, err)
		}
	}
}

// know adds what must not be said: of a cookie, all that names its session.
func (e *ear) know(cookie string) {
	if id, ok := parseID(cookie); ok {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.secrets = append(e.secrets, id.base, keyspace{}.session(id.base), id.String())
	}
}

// check looks for secrets in what was heard, also in their usual disguises.
func (e *ear) check(t *testing.T) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := e.heard.String()
	for _, secret := range e.secrets {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret))} {
			if at := strings.Index(heard, form); at >= 0 {
				t.Errorf("%q was said: ...%.300s", secret, heard[max(0, at-100):])
			}
		}
	}
	if len(e.secrets) < 10 || len(heard) < 1000 {
		t.Errorf("%d secrets and %d bytes of talk: the test itself is wrong", len(e.secrets), len(heard))
	}
}

// SR-61: whatever goes wrong, no id, cookie, storage key or value stands in what
// is logged, returned as an error or answered.
func TestSR61_NothingSecretIsSaid(t *testing.T) {
	bubbleInBothModes(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
		e := &ear{secrets: []string{"s3cret-value"}}
		log := slog.New(slog.NewJSONHandler(e, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
		w := newWire(t, ns, memcache.Config{Logger: log})
		cfg.Client, cfg.Logger = w.client, log
		if cfg.NonSticky {
			cfg.ValueKeys = [][]byte{randomKey()}
		}
		m := instance(t, cfg)
		talk(t, e, ns, m, cfg)
		log.Info("all", "config", cfg, "client", w.client.Stats(), "stats", m.Stats())
		e.check(t)
	})
}

// talk has everything go wrong that can.
func talk(t *testing.T, e *ear, ns *nodes, m *Manager, cfg Config) {
	b := new(browser)
	b.visit(m, func(s *Session) { e.hear(s.Set("who", "s3cret-value")) })
	e.know(b.cookie)
	wrong := map[string]func(){
		"refuse": func() { ns.sicken(memcachetest.Fault{Refuse: true}) },
		"hang":   func() { ns.sicken(memcachetest.Fault{Hang: true}) },
		"reset":  func() { ns.sicken(memcachetest.Fault{Reset: true}) },
		"cut":    func() { ns.sicken(memcachetest.Fault{Truncate: 20}) },
		"twice":  func() { ns.sicken(memcachetest.Fault{Duplicate: true}) },
		"fail":   func() { ns.sicken(memcachetest.Fault{Fail: "SERVER_ERROR out of memory"}) },
		"refused": func() {
			ns.sicken(memcachetest.Fault{Fail: "CLIENT_ERROR bad data chunk"})
		},
		"empty": func() {
			for _, s := range ns.servers {
				s.Flush()
			}
		},
		"garbage": func() {
			for _, s := range ns.servers {
				for _, item := range s.Items() {
					item.Value = []byte("garbage s3cret-value")
					s.SetItem(item)
				}
			}
		},
		"newer": func() {
			for _, s := range ns.servers {
				for _, item := range s.Items() {
					item.Value = append([]byte{formatMark, formatSealed + 1}, "s3cret-value"...)
					s.SetItem(item)
				}
			}
		},
	}
	big := true // once is enough: what is too large is refused before anything can go wrong
	for _, break_ := range wrong {
		break_()
		for i := range 3 {
			at := m
			if i == 2 {
				at = instance(t, cfg)
			}
			for _, b := range []*browser{b.clone(), new(browser)} {
				resp := b.visit(at, func(s *Session) { use(e, s, big) })
				fmt.Fprintln(e, resp.Code, resp.Body)
				e.know(b.cookie)
				big = false
			}
			crash(func() { b.clone().visit(m, func(s *Session) { use(e, s, false); panic(http.ErrAbortHandler) }) })
		}
		ns.sicken(memcachetest.Fault{})
		time.Sleep(10 * time.Second)
		cfg.Client.Reach(t.Context())
		b = new(browser)
		b.visit(m, func(s *Session) { e.hear(s.Set("who", "s3cret-value")) })
		e.know(b.cookie)
	}
}

// use calls every method of a session.
func use(e *ear, s *Session, big bool) {
	var n int
	_, err := s.Get("who", &n) // is no number
	e.hear(err)
	_, err = s.Names()
	e.hear(err)
	_, err = s.Copies()
	e.hear(err)
	if big {
		e.hear(s.Set("big", strings.Repeat("s3cret-value", 100_000)), s.Save(s.ctx), s.Delete("big"))
	}
	e.hear(s.Set("func", func() {}), s.Set(strings.Repeat("s3cret-value", 10), 1), s.Save(s.ctx), visits.Set(s, 1))
	over, cancel := context.WithCancel(context.Background())
	cancel()
	e.hear(s.Save(over), s.Renew(), s.Set("who", "s3cret-value"), s.Save(s.ctx))
	fmt.Fprintf(e, "%v %+v %#v\n", s, s, s)
}
