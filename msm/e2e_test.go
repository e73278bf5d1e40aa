package msm

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memcached"
)

// farm is nodes that can be killed and come back empty.
type farm interface {
	config() Config
	kill(id string)
	restart(id string)
}

// processes are memcached child processes, n1, n2 and so on.
type processes struct {
	t       *testing.T
	servers []*memcached.Server
}

func startProcesses(t *testing.T, n int) *processes {
	t.Helper()
	p := &processes{t: t}
	for range n {
		p.servers = append(p.servers, memcached.Start(t))
	}
	return p
}

func (p *processes) config() Config {
	list := make([]string, len(p.servers))
	for i, s := range p.servers {
		list[i] = fmt.Sprintf("n%d:%s", i+1, s.Addr())
	}
	return Config{MemcachedNodes: strings.Join(list, ",")}
}

func (p *processes) node(id string) *memcached.Server {
	i, err := strconv.Atoi(strings.TrimPrefix(id, "n"))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.servers[i-1]
}

func (p *processes) kill(id string) { p.node(id).Kill() }

func (p *processes) restart(id string) { must(p.t, p.node(id).Restart()) }

// site is instances of an application behind a proxy that sends requests to
// them in turn, and passes over those that are stopped.
type site struct {
	proxy     *httptest.Server
	instances []*httptest.Server
	stopped   []atomic.Bool
	turn      atomic.Int64
}

func startSite(t *testing.T, cfg Config, n int) *site {
	t.Helper()
	s := &site{stopped: make([]atomic.Bool, n)}
	for i := range n {
		cfg.Route = fmt.Sprint("app", i+1)
		m := instance(t, cfg)
		server := httptest.NewServer(m.Handler(http.HandlerFunc(countingPage)))
		t.Cleanup(server.Close)
		s.instances = append(s.instances, server)
	}
	s.proxy = httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		for {
			i := int(s.turn.Add(1)) % n
			if !s.stopped[i].Load() {
				u, err := url.Parse(s.instances[i].URL)
				must(t, err)
				r.SetURL(u)
				return
			}
		}
	}})
	t.Cleanup(s.proxy.Close)
	return s
}

// countingPage answers with the session's base, its node and the visit's number.
func countingPage(w http.ResponseWriter, r *http.Request) {
	s := From(r.Context())
	err := visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil })
	n, _, err2 := visits.Get(s)
	id, err3 := s.ID()
	for _, err := range []error{err, err2, err3} {
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	base, place, _ := strings.Cut(id, "-")
	node, route, _ := strings.Cut(place, ".")
	fmt.Fprintln(w, base, node, route, n)
}

// page is what countingPage said.
type page struct {
	base, node, route string
	visits            int
}

func visitSite(t *testing.T, client *http.Client, s *site) (p page) {
	t.Helper()
	resp, err := client.Get(s.proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if _, err := fmt.Sscan(string(body), &p.base, &p.node, &p.route, &p.visits); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	return p
}

// 200 visits in turn over two instances, while every node that has the session
// is killed in turn, and so is an instance: no count is lost, no session begins.
func TestNothingTheUserSees(t *testing.T) {
	farms := map[string]func(t *testing.T) farm{
		"fake": func(t *testing.T) farm { return startNodes(t, 3) },
		"real": func(t *testing.T) farm { return startProcesses(t, 3) },
	}
	for name, start := range farms {
		for _, nonSticky := range []bool{false, true} {
			t.Run(name+"/"+modeName(nonSticky), func(t *testing.T) {
				leaktest.Check(t)
				nodes := start(t)
				cfg := nodes.config()
				cfg.NonSticky, cfg.SessionBackupSync, cfg.Cookie.Insecure = nonSticky, true, true
				nothingTheUserSees(t, nodes, startSite(t, cfg, 2))
			})
		}
	}
}

func nothingTheUserSees(t *testing.T, nodes farm, s *site) {
	jar, err := cookiejar.New(nil)
	must(t, err)
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	client := &http.Client{Jar: jar, Transport: transport}
	first := visitSite(t, client, s)
	last, killed, routes := first, "", map[string]int{}
	for visit := 2; visit <= 200; visit++ {
		switch visit % 25 {
		case 0:
			killed = last.node
			nodes.kill(killed) // the next visit follows at once
		case 12:
			if killed != "" {
				nodes.restart(killed)
			}
		case 18:
			s.stopped[0].Store(true)
		case 22:
			s.stopped[0].Store(false)
		}
		start := time.Now()
		p := visitSite(t, client, s)
		if took := time.Since(start); took > time.Second {
			t.Errorf("visit %d took %v", visit, took)
		}
		if p.visits != visit || p.base != first.base {
			t.Fatalf("visit %d: count %d, same session: %v", visit, p.visits, p.base == first.base)
		}
		if visit%25 < 12 && p.node == killed {
			t.Fatalf("visit %d: the session is on %s, which is dead", visit, killed)
		}
		routes[p.route]++
		last = p
	}
	if routes["app1"] < 50 || routes["app2"] < 50 {
		t.Errorf("visits by instance: %v, want them to alternate", routes)
	}
}
