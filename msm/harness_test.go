package msm

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
)

// nodes is a set of memcached nodes in this process, n1, n2 and so on.
type nodes struct {
	t       *testing.T
	servers []*memcachetest.Server
}

func startNodes(t *testing.T, n int) *nodes {
	t.Helper()
	ns := &nodes{t: t}
	for range n {
		ns.servers = append(ns.servers, memcachetest.NewServer())
	}
	t.Cleanup(func() {
		for _, s := range ns.servers {
			s.Close()
		}
	})
	return ns
}

// config is what the tests' managers have in common. OperationTimeout is the
// default: a busy machine holds a request up for some tenths of a second.
func (ns *nodes) config() Config {
	list := make([]string, len(ns.servers))
	for i, s := range ns.servers {
		list[i] = fmt.Sprintf("n%d:%s", i+1, s.Addr())
	}
	return Config{MemcachedNodes: strings.Join(list, ","), OperationTimeout: time.Second}
}

// node returns the server with that id.
func (ns *nodes) node(id string) *memcachetest.Server {
	return ns.servers[ns.index(id)]
}

func (ns *nodes) index(id string) int {
	var i int
	if _, err := fmt.Sscanf(id, "n%d", &i); err != nil {
		ns.t.Fatalf("no node %q", id)
	}
	return i - 1
}

// kill ends a node; restart brings it back, empty.
func (ns *nodes) kill(id string) { ns.node(id).Close() }

func (ns *nodes) restart(id string) {
	s, err := memcachetest.Start(ns.node(id).Addr())
	if err != nil {
		ns.t.Fatal(err)
	}
	ns.servers[ns.index(id)] = s
}

// traffic is the number of commands that all nodes have seen.
func (ns *nodes) traffic() int {
	n := 0
	for _, s := range ns.servers {
		n += s.Traffic().Total()
	}
	return n
}

// received is the number of bytes that all nodes have got.
func (ns *nodes) received() int64 {
	n := int64(0)
	for _, s := range ns.servers {
		n += s.Traffic().Received
	}
	return n
}

// instance is a Manager that the test shuts down.
func instance(t *testing.T, cfg Config) *Manager {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, m) })
	return m
}

func shutdown(t *testing.T, m *Manager) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := m.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// browser keeps a session cookie between requests.
type browser struct{ cookie string }

// clone is the same browser's other window.
func (b *browser) clone() *browser { return &browser{b.cookie} }

func (b *browser) id(t *testing.T) sessionID {
	t.Helper()
	id, ok := parseID(b.cookie)
	if !ok {
		t.Fatalf("the browser's cookie %q is no session id", b.cookie)
	}
	return id
}

// visit sends a request of b through m to a handler that does f.
func (b *browser) visit(m *Manager, f func(s *Session)) *httptest.ResponseRecorder {
	return b.serve(m, "/", func(w http.ResponseWriter, r *http.Request) { f(From(r.Context())) })
}

func (b *browser) serve(m *Manager, target string, h http.HandlerFunc) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	if b.cookie != "" {
		r.Header.Set("Cookie", "__Host-sid="+b.cookie)
	}
	w := httptest.NewRecorder()
	m.Handler(h).ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-sid" {
			b.cookie = c.Value
		}
	}
	return w
}

// poll tries until it succeeds, for ten seconds at most.
func poll(t *testing.T, what string, try func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !try(); {
		if time.Now().After(end) {
			t.Fatalf("%s: still not so after 10 s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// rest waits until nothing is left to do in the background of m.
func rest(t *testing.T, m *Manager) {
	t.Helper()
	m.core.Load().queue.rest(t)
}

// rest waits until nothing is left to do.
func (q *queue) rest(t *testing.T) {
	t.Helper()
	poll(t, "background work is done", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.active == 0 && q.resting == 0
	})
}

// must stops the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// set stores an attribute in a request of its own.
func (b *browser) set(t *testing.T, m *Manager, name string, value any) {
	t.Helper()
	if w := b.visit(m, func(s *Session) { must(t, s.Set(name, value)) }); w.Code != http.StatusOK {
		t.Fatalf("storing %s: status %d", name, w.Code)
	}
}

// get reads a string attribute in a request of its own; "" if there is none.
func (b *browser) get(t *testing.T, m *Manager, name string) string {
	t.Helper()
	var value string
	b.visit(m, func(s *Session) {
		_, err := s.Get(name, &value)
		must(t, err)
	})
	return value
}

var visits = NewKey[int]("visits")

// count raises a counter and returns it as this request sees it.
func (b *browser) count(t *testing.T, m *Manager) int {
	t.Helper()
	var n int
	w := b.visit(m, func(s *Session) {
		must(t, visits.Update(s, func(old int, _ bool) (int, error) { return old + 1, nil }))
		var err error
		n, _, err = visits.Get(s)
		must(t, err)
	})
	if w.Code != http.StatusOK {
		t.Fatalf("counting: status %d %s", w.Code, w.Body)
	}
	return n
}

// increment adds one to the session's counter.
func increment(s *Session) error {
	return visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil })
}

// modeName names a subtest.
func modeName(nonSticky bool) string {
	if nonSticky {
		return "non-sticky"
	}
	return "sticky"
}
