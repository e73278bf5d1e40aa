package msm

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// A function of Update that panics when it runs again, on what another request
// has stored, fails its own request and nothing else: not the session, whose
// commits wait in one line, nor the process, where the background stores.
func TestUpdatePanicsWhenItRunsAgain(t *testing.T) {
	list := NewKey[[]int]("list")
	for _, nonSticky := range []bool{true, false} {
		t.Run(modeName(nonSticky), func(t *testing.T) {
			cfg := startNodes(t, 2).config()
			cfg.NonSticky = nonSticky
			m := instance(t, cfg)
			b := new(browser)
			b.set(t, m, "list", []int{1, 2})
			w := b.visit(m, func(s *Session) {
				must(t, list.Update(s, func(old []int, _ bool) ([]int, error) { return old[1:], nil }))
				b.clone().set(t, m, "list", []int{})
			})
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("status %d of the request whose Update panicked when it ran again, want 503", w.Code)
			}
			b.set(t, m, "after", "yes")
			if got := b.get(t, m, "after"); got != "yes" {
				t.Errorf("the session has %q, want what was stored after the panic", got)
			}
		})
	}
}

// After ErrTooLarge a handler can make the session smaller and go on (SR-44).
func TestSaveAfterErrTooLarge(t *testing.T) {
	for _, nonSticky := range []bool{true, false} {
		t.Run(modeName(nonSticky), func(t *testing.T) {
			cfg := startNodes(t, 2).config()
			cfg.NonSticky = nonSticky
			m := instance(t, cfg)
			for _, b := range []*browser{new(browser), newVisitor(t, m)} {
				w := b.visit(m, func(s *Session) {
					must(t, s.Set("upload", strings.Repeat("x", 2<<20)))
					if err := s.Save(context.Background()); !errors.Is(err, ErrTooLarge) {
						t.Errorf("Save: %v, want ErrTooLarge", err)
					}
					must(t, s.Delete("upload"))
					must(t, s.Set("message", "too large"))
				})
				if got := b.get(t, m, "message"); w.Code != http.StatusOK || got != "too large" {
					t.Errorf("status %d, and the session has %q, want 200 and what was set instead", w.Code, got)
				}
			}
		})
	}
}

// A new session that a node has refused is the same one when it is stored after
// all: the next request sees it.
func TestSaveAfterANodeFoundItTooLarge(t *testing.T) {
	for _, nonSticky := range []bool{true, false} {
		t.Run(modeName(nonSticky), func(t *testing.T) {
			ns := startNodes(t, 2)
			cfg := ns.config()
			cfg.NonSticky = nonSticky
			m, b := instance(t, cfg), new(browser)
			newVisitor(t, m) // the nodes are connected to
			rest(t, m)
			w := b.visit(m, func(s *Session) {
				must(t, s.Set("message", "here"))
				for _, node := range ns.servers {
					node.SetFault(memcachetest.Fault{Fail: "SERVER_ERROR object too large for cache"})
				}
				if err := s.Save(context.Background()); !errors.Is(err, ErrTooLarge) {
					t.Errorf("Save: %v, want ErrTooLarge", err)
				}
				for _, node := range ns.servers {
					node.SetFault(memcachetest.Fault{})
				}
				must(t, s.Save(context.Background()))
			})
			if got := b.get(t, m, "message"); w.Code != http.StatusOK || got != "here" {
				t.Errorf("status %d, and the session has %q, want 200 and what was stored in the end", w.Code, got)
			}
		})
	}
}

// What two instances have changed may be too large together. The request that is
// to blame has been answered by then: the log and Stats tell.
func TestTooLargeTogether(t *testing.T) {
	bubble(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		cfg.Route = "b"
		other := instance(t, cfg)
		var log strings.Builder
		cfg.Route, cfg.Logger = "a", slog.New(slog.NewTextHandler(&log, nil))
		m := instance(t, cfg)
		b := ann(t, m)
		b.clone().set(t, other, "theirs", strings.Repeat("x", 600<<10))
		rest(t, other)
		b.set(t, m, "ours", strings.Repeat("x", 600<<10))
		rest(t, m)
		if lost := m.Stats().BackupsLost; lost != 1 || !strings.Contains(log.String(), "ours") {
			t.Errorf("%d changes count as lost, and the log says %q, want 1 and which", lost, &log)
		}
		b.set(t, m, "after", "yes")
		rest(t, m)
		if after, theirs := b.get(t, other, "after"), b.get(t, other, "theirs"); after != "yes" || theirs == "" {
			t.Errorf("the session has %q and %d bytes of the other instance's, want what came afterwards and those", after, len(theirs))
		}
	})
}

// newVisitor has a session already.
func newVisitor(t *testing.T, m *Manager) *browser {
	t.Helper()
	b := new(browser)
	b.set(t, m, "visited", true)
	return b
}
