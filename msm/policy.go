package msm

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
)

// Bounds of what is learned about requests, which MSM has as well.
const (
	maxReadOnly  = 1_000
	maxModifying = 50_000
)

// patternPrefix is what a LockingMode with a regular expression begins with.
const patternPrefix = "uriPattern:"

// policy says which requests have their session to themselves. The zero policy
// is none. It is safe for concurrent use.
type policy struct {
	// Immutable.
	all     bool
	pattern *pattern // those that match
	habits  *habits  // all but those that are known to change nothing
}

// parsePolicy reads Config.LockingMode.
func parsePolicy(mode string) (policy, error) {
	if expr, ok := strings.CutPrefix(mode, patternPrefix); ok {
		if expr == "" {
			return policy{}, errors.New(`msm: Config.LockingMode: "uriPattern:" lacks its regular expression: write uriPattern:.*/pay, or none`)
		}
		p, err := compilePattern("LockingMode", expr)
		return policy{pattern: p}, err
	}
	if isNoLock(mode) {
		return policy{}, nil
	}
	switch strings.ToLower(mode) {
	case "all":
		return policy{all: true}, nil
	case "auto":
		return policy{habits: newHabits()}, nil
	}
	return policy{}, fmt.Errorf("msm: Config.LockingMode: %q is unknown: use none, all, auto or uriPattern:<regular expression>", mode)
}

func (p *policy) isNone() bool { return *p == policy{} }

// isNoLock tells whether a LockingMode means none.
func isNoLock(mode string) bool { return mode == "" || strings.EqualFold(mode, "none") }

// wants tells whether a request is to have its session to itself, and the line
// that its habits go by.
func (p *policy) wants(r *http.Request) (exclusive bool, of line) {
	if p.habits == nil {
		return p.all || p.pattern.matchRequest(r), 0
	}
	of = p.habits.line(r)
	return !p.habits.isReadOnly(of), of
}

// line stands for the requests with one method, path and query; of POST, one
// method and path. It is a hash: what is kept of URLs that clients make up has
// one size, and none of it can be read. Should two lines be the same, one of
// them takes a lock without need, or takes it late.
type line uint64

// habits remembers which lines of requests have only ever read their session.
// One that changes it once outweighs any number that did not. It is safe for
// concurrent use.
type habits struct {
	seed maphash.Seed // immutable

	mu        sync.Mutex // guards what follows
	readOnly  recent
	modifying recent
}

func newHabits() *habits {
	return &habits{seed: maphash.MakeSeed(), readOnly: recent{max: maxReadOnly}, modifying: recent{max: maxModifying}}
}

// line is that of a request. As in MSM, the query of POST does not count.
func (h *habits) line(r *http.Request) line {
	var hash maphash.Hash
	hash.SetSeed(h.seed)
	hash.WriteString(r.Method)
	hash.WriteByte(' ') // is in no method
	hash.WriteString(r.URL.EscapedPath())
	if r.Method != http.MethodPost && r.URL.RawQuery != "" {
		hash.WriteByte('?') // is in no escaped path
		hash.WriteString(r.URL.RawQuery)
	}
	return line(hash.Sum64())
}

func (h *habits) isReadOnly(l line) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readOnly.has(l)
}

// learn takes note of what a request of that line did to its session.
func (h *habits) learn(l line, changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case changed:
		h.readOnly.remove(l)
		h.modifying.add(l)
	case !h.modifying.has(l):
		h.readOnly.add(l)
	}
}

// recent is a set of lines that forgets those that were not used for longest.
// It has max at most: two halves, of which the older one is dropped when the
// newer one is full. What is used moves to the newer one, so that a client that
// makes lines up drives out no others that are in use.
type recent struct {
	max          int
	newer, older map[line]struct{}
}

func (s *recent) has(l line) bool {
	if _, ok := s.newer[l]; ok {
		return true
	}
	_, ok := s.older[l]
	if ok {
		s.add(l)
	}
	return ok
}

func (s *recent) add(l line) {
	if _, ok := s.newer[l]; ok {
		return
	}
	if s.newer == nil || len(s.newer) >= s.max/2 {
		s.older, s.newer = s.newer, make(map[line]struct{})
	}
	delete(s.older, l)
	s.newer[l] = struct{}{}
}

func (s *recent) remove(l line) {
	delete(s.newer, l)
	delete(s.older, l)
}
