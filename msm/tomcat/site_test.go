package tomcat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/msm"
)

// site is a manager with three nodes, and one visitor. Of n1 to n3 a Config has
// as many as it names; "in" asks for a login.
type site struct {
	t       *testing.T
	cfg     msm.Config
	manager *msm.Manager
	nodes   map[string]*memcachetest.Server
	cookie  string
}

// newSite begins with n1 and n2, and with what begin makes of that.
func newSite(t *testing.T, begin func(*msm.Config, *site)) *site {
	t.Helper()
	s := &site{t: t, nodes: make(map[string]*memcachetest.Server)}
	for _, id := range []string{"n1", "n2", "n3", "in"} {
		var c memcachetest.Config
		if id == "in" {
			c.Username, c.Password = "ann", "secret"
		}
		server, err := memcachetest.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		s.nodes[id] = server
	}
	s.cfg.MemcachedNodes = s.list("n1", "n2")
	if begin != nil {
		begin(&s.cfg, s)
	}
	var err error
	if s.manager, err = msm.New(s.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, n := range s.nodes {
			n.SetFault(memcachetest.Fault{})
		}
		end(t, s.manager)
	})
	return s
}

// end shuts a manager down when its test is over, and t.Context with it.
func end(t *testing.T, m *msm.Manager) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := m.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// list is some nodes as a Config has them.
func (s *site) list(ids ...string) string {
	var all []string
	for _, id := range ids {
		all = append(all, id+":"+s.nodes[id].Addr())
	}
	return strings.Join(all, ",")
}

// visit sends a request of the visitor's to a handler that does f, and returns
// what the handler says, or the error that stopped it.
func (s *site) visit(target string, f func(*msm.Session) (string, error)) string {
	s.t.Helper()
	said := "no handler ran"
	handler := func(w http.ResponseWriter, r *http.Request) {
		text, err := f(msm.From(r.Context()))
		if said = text; err != nil {
			said = err.Error()
		}
	}
	r := httptest.NewRequest("GET", target, nil)
	if s.cookie != "" {
		r.Header.Set("Cookie", s.cookie)
	}
	w := httptest.NewRecorder()
	s.manager.Handler(http.HandlerFunc(handler)).ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		s.cookie = c.Name + "=" + c.Value
	}
	if w.Code != http.StatusOK {
		return fmt.Sprint("status ", w.Code)
	}
	return said
}

// set stores an attribute of the visitor's.
func (s *site) set(name string, value any) string {
	s.t.Helper()
	return s.visit("/", func(session *msm.Session) (string, error) { return "stored", session.Set(name, value) })
}

// get reads one; "" if there is none.
func (s *site) get(name string) string {
	s.t.Helper()
	return s.visit("/", func(session *msm.Session) (text string, err error) {
		_, err = session.Get(name, &text)
		return text, err
	})
}

// began has another visitor come, whose session begins.
func (s *site) began() {
	s.t.Helper()
	s.cookie = ""
	if got := s.set("user", "ann"); got != "stored" {
		s.t.Fatalf("a session that begins: %s", got)
	}
}

func (s *site) info() (info msm.Info) {
	s.t.Helper()
	s.visit("/", func(session *msm.Session) (_ string, err error) {
		info, err = session.Info()
		return "", err
	})
	return info
}

// traffic is how many commands the nodes have got.
func (s *site) traffic() int {
	n := 0
	for _, node := range s.nodes {
		n += node.Traffic().Total()
	}
	return n
}

// items is everything on all nodes.
func (s *site) items() (all []memcachetest.Item) {
	for _, node := range s.nodes {
		all = append(all, node.Items()...)
	}
	return all
}

// stored tells whether some node has that text in a value.
func (s *site) stored(text string) bool {
	for _, item := range s.items() {
		if strings.Contains(string(item.Value), text) {
			return true
		}
	}
	return false
}

// holders are the nodes with that text in a value.
func (s *site) holders(text string) (ids []string) {
	for _, id := range []string{"n1", "n2", "n3", "in"} {
		for _, item := range s.nodes[id].Items() {
			if strings.Contains(string(item.Value), text) {
				ids = append(ids, id)
				break
			}
		}
	}
	return ids
}

// poll tries until it succeeds, for ten seconds at most.
func (s *site) poll(what string, try func() bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); !try(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s: still not so after 10 s", what)
		}
	}
}

// inForce is a setting as the manager has it.
func (s *site) inForce(name string) string {
	s.t.Helper()
	w := httptest.NewRecorder()
	page := s.manager.AdminHandler(func(*http.Request) bool { return true })
	page.ServeHTTP(w, httptest.NewRequest("GET", "/?format=json", nil))
	var state struct {
		Settings []struct{ Name, Value string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil {
		s.t.Fatal(err)
	}
	for _, setting := range state.Settings {
		if setting.Name == name {
			return setting.Value
		}
	}
	return "not shown"
}
