package tomcat_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/msm"
	"github.com/seed99545744/msm/msm/tomcat"
	"github.com/seed99545744/msm/ring"
)

// The files load and serve: a session lives on when its instance is another,
// and when a node is killed. The nodes of the files are elsewhere; their ids
// stay.
func TestFilesServe(t *testing.T) {
	for _, file := range []string{"sticky.xml", "localhost.xml", "nonsticky.xml"} {
		t.Run(file, func(t *testing.T) {
			cfg, _, err := tomcat.ParseContext(open(t, file))
			if err != nil {
				t.Fatal(err)
			}
			servers := moveHere(t, &cfg)
			client := &http.Client{}
			cfg.Route = "tc1"
			cookie := visit(t, client, mustNew(t, cfg), nil, 1)
			if !strings.HasPrefix(cookie.String(), "__Host-sid=") || !cookie.Secure {
				t.Errorf("the cookie is %v, want a __Host-sid that is Secure", cookie)
			}
			cfg.Route = "tc2"
			second := mustNew(t, cfg)
			cookie = visit(t, client, second, cookie, 2)
			_, place, _ := strings.Cut(cookie.Value, "-")
			node, _, _ := strings.Cut(place, ".")
			node, _, _ = strings.Cut(node, "~")
			servers[node].Kill()
			visit(t, client, second, cookie, 3)
		})
	}
}

// moveHere puts memcached processes into the places of a Config's nodes.
func moveHere(t *testing.T, cfg *msm.Config) map[string]*memcached.Server {
	t.Helper()
	nodes, err := ring.ParseNodes(cfg.MemcachedNodes)
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]*memcached.Server{}
	var list []string
	for _, n := range nodes {
		servers[n.ID] = memcached.Start(t)
		list = append(list, n.ID+":"+servers[n.ID].Addr())
	}
	cfg.MemcachedNodes = strings.Join(list, ",")
	return servers
}

var visits = msm.NewKey[int]("visits")

// visit counts a visit of m, over HTTP, and returns the cookie afterwards.
func visit(t *testing.T, client *http.Client, m *msm.Manager, cookie *http.Cookie, want int) *http.Cookie {
	t.Helper()
	server := httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := msm.From(r.Context())
		if err := visits.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil }); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		n, _, err := visits.Get(s)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, n)
	})))
	defer server.Close()
	r, err := http.NewRequest("GET", server.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(body); got != fmt.Sprint(want) {
		t.Fatalf("status %d, %q; want visit %d", resp.StatusCode, got, want)
	}
	for _, c := range resp.Cookies() {
		cookie = c
	}
	return cookie
}
