package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
)

// shown is what a page says.
type shown struct {
	instance, base, node string
	created              string
	visits               int
	copies               []string
}

// browser is a visitor with a cookie jar.
type browser struct {
	t      *testing.T
	client *http.Client
	url    string
}

func newBrowser(t *testing.T, url string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport, Timeout: 10 * time.Second}, url}
}

var pagePatterns = map[string]*regexp.Regexp{
	"instance": regexp.MustCompile(`data-instance="([^"]*)"`),
	"base":     regexp.MustCompile(`data-base="([^"]*)"`),
	"node":     regexp.MustCompile(`data-node="([^"]*)"`),
	"created":  regexp.MustCompile(`id="created" datetime="([^"]*)"`),
	"visits":   regexp.MustCompile(`id="visits">(\d+)<`),
	"copies":   regexp.MustCompile(`id="copies">([^<]*)<`),
}

// visit reads the page, which must be a good one.
func (b *browser) visit() shown {
	b.t.Helper()
	resp, err := b.client.Get(b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.read(resp)
}

// press posts a form of the page, and follows to the page that comes of it.
func (b *browser) press(path string, form url.Values) shown {
	b.t.Helper()
	resp, err := b.client.PostForm(b.url+path, form)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.read(resp)
}

func (b *browser) control(action, target string) shown {
	b.t.Helper()
	return b.press("control", url.Values{"action": {action}, "target": {target}})
}

func (b *browser) read(resp *http.Response) shown {
	b.t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s\n%s", resp.Request.URL, resp.Status, body)
	}
	return readPage(b.t, string(body))
}

// readPage takes what a page says from its text.
func readPage(t *testing.T, body string) shown {
	t.Helper()
	field := func(name string) string {
		m := pagePatterns[name].FindStringSubmatch(body)
		if m == nil {
			t.Fatalf("the page says nothing of %s:\n%s", name, body)
		}
		return m[1]
	}
	s := shown{instance: field("instance"), base: field("base"), node: field("node"), created: field("created")}
	s.visits, _ = strconv.Atoi(field("visits"))
	if copies := field("copies"); copies != "" {
		s.copies = strings.Split(copies, ", ")
	}
	return s
}

// cluster is what a drive kills and revives: the demo's own nodes through its
// buttons, or memcached processes.
type cluster struct {
	config config
	kill   func(b *browser, id string)
	revive func(b *browser, id string)
}

// buttons is the demo as it starts by default.
func buttons(*testing.T) cluster {
	return cluster{
		kill:   func(b *browser, id string) { b.postControl("stop", id) },
		revive: func(b *browser, id string) { b.postControl("start", id) },
	}
}

// postControl presses a button without following to the page.
func (b *browser) postControl(action, target string) {
	b.t.Helper()
	client := *b.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.PostForm(b.url+"control", url.Values{"action": {action}, "target": {target}})
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("%s %s: %s", action, target, resp.Status)
	}
}

// processes is three memcached servers, which SIGKILL ends.
func processes(t *testing.T) cluster {
	servers := map[string]*memcached.Server{}
	var nodes []string
	for _, id := range []string{"n1", "n2", "n3"} {
		servers[id] = memcached.Start(t)
		nodes = append(nodes, id+":"+servers[id].Addr())
	}
	return cluster{
		config: config{nodes: strings.Join(nodes, ",")},
		kill:   func(_ *browser, id string) { servers[id].Kill() },
		revive: func(b *browser, id string) {
			if err := servers[id].Restart(); err != nil {
				b.t.Fatal(err)
			}
		},
	}
}

func startDemo(t *testing.T, c config) *system {
	t.Helper()
	c.addr = "127.0.0.1:0"
	s, err := start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// The whole point: visits go to both instances in turn while the session's
// node is killed again and again. No visit is lost, no session is new, and
// only the id's node changes. A visit follows on the heels of every kill, well
// before anybody can have noticed it.
func TestNodesDie(t *testing.T) {
	clusters := map[string]func(*testing.T) cluster{"memcachetest": buttons, "memcached": processes}
	for name, cluster := range clusters {
		for _, nonSticky := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/nonSticky=%v", name, nonSticky), func(t *testing.T) {
				c := cluster(t)
				c.config.nonSticky = nonSticky
				s := startDemo(t, c.config)
				patient(t, s)
				d := drive{browser: newBrowser(t, s.url()), cluster: c}
				d.run()
			})
		}
	}
}

// patient gives the instances more time to reach a node that is back, and was the
// last one to have the session: on a busy machine that takes more than the 100 ms
// of the default now and then.
func patient(t *testing.T, s *system) {
	t.Helper()
	for _, i := range s.instances {
		cfg := i.managerConfig()
		cfg.SessionBackupTimeout = time.Second
		if err := i.manager.Reconfigure(cfg); err != nil {
			t.Fatal(err)
		}
	}
}

// drive is one visitor's way through a day of disasters.
type drive struct {
	*browser
	cluster
	last  shown
	kills int
}

const (
	visitsWanted = 200
	killsWanted  = 12
	giveUpAfter  = 30 * time.Second
)

func (d *drive) run() {
	d.t.Helper()
	d.last = d.visit()
	if d.last.visits != 1 {
		d.t.Fatalf("first visit is number %d", d.last.visits)
	}
	deadline := time.Now().Add(giveUpAfter)
	for down := ""; d.last.visits < visitsWanted || d.kills < killsWanted; {
		if time.Now().After(deadline) {
			d.t.Fatalf("after %v: %d visits, %d kills, copies on %v; the nodes that came back are not used", giveUpAfter, d.last.visits, d.kills, d.last.copies)
		}
		switch {
		case down != "": // some visits with the node gone, then it comes back empty
			for range 3 {
				d.next()
			}
			d.revive(d.browser, down)
			down = ""
		case len(d.last.copies) == 2: // whole again
			down = d.last.node
			d.kill(d.browser, down)
			d.kills++
			d.nextWithout(down)
		}
		d.next()
	}
	d.t.Logf("%d visits, %d kills", d.last.visits, d.kills)
}

// next makes a visit and compares it with the one before.
func (d *drive) next() {
	d.t.Helper()
	now := d.visit()
	switch {
	case now.base != d.last.base || now.created != d.last.created:
		d.t.Fatalf("visit %d met a new session: %+v after %+v", d.last.visits+1, now, d.last)
	case now.visits != d.last.visits+1:
		d.t.Fatalf("visit %d counts as %d: %+v after %+v", d.last.visits+1, now.visits, now, d.last)
	case now.instance == d.last.instance:
		d.t.Fatalf("visit %d went to %s again", now.visits, now.instance)
	}
	d.last = now
}

// nextWithout is next right after a node was killed.
func (d *drive) nextWithout(dead string) {
	d.t.Helper()
	start := time.Now()
	d.next()
	if d.last.node == dead || len(d.last.copies) == 0 || d.last.copies[0] != d.last.node {
		d.t.Fatalf("after %s was killed the session is on %q, copies on %v", dead, d.last.node, d.last.copies)
	}
	if took := time.Since(start); took > time.Second {
		d.t.Errorf("the visit after the kill of %s took %v", dead, took)
	}
}

// An instance dies, and the visitor sees nothing of it.
func TestInstancesDie(t *testing.T) {
	for _, nonSticky := range []bool{false, true} {
		t.Run(fmt.Sprintf("nonSticky=%v", nonSticky), func(t *testing.T) {
			b := newBrowser(t, startDemo(t, config{nonSticky: nonSticky}).url())
			first := b.visit()
			count := first.visits
			for round := range 10 {
				victim, other := []string{"app1", "app2"}[round%2], []string{"app2", "app1"}[round%2]
				for i := range 4 {
					var now shown
					if i == 0 {
						now = b.control("stop", victim)
					} else {
						now = b.visit()
					}
					count++
					if now.instance != other || now.base != first.base || now.visits != count {
						t.Fatalf("round %d, %s stopped: got %+v, want visit %d of %s by %s", round, victim, now, count, first.base, other)
					}
				}
				now := b.control("start", victim)
				count++
				if now.base != first.base || now.visits != count {
					t.Fatalf("round %d, %s started: got %+v, want visit %d of %s", round, victim, now, count, first.base)
				}
			}
		})
	}
}

// An instance and the session's node die together: the copy in its memory and
// the one on its node are gone, and the second copy is enough.
func TestBothDie(t *testing.T) {
	for _, nonSticky := range []bool{false, true} {
		t.Run(fmt.Sprintf("nonSticky=%v", nonSticky), func(t *testing.T) {
			b := newBrowser(t, startDemo(t, config{nonSticky: nonSticky}).url())
			before := b.visit()
			b.postControl("stop", before.node)
			now := b.control("stop", before.instance)
			if now.base != before.base || now.visits != 2 || now.node == before.node || now.instance == before.instance {
				t.Errorf("got %+v, want the second visit of %s on another node and instance than %+v", now, before.base, before)
			}
		})
	}
}

// Stopping the last instance, or every node of non-sticky sessions, leaves a
// page that says so and has the buttons to start them again.
func TestNothingLeft(t *testing.T) {
	tests := []struct {
		name   string
		stop   []string
		config config
		status int
	}{
		{"instances", []string{"app1", "app2"}, config{}, http.StatusBadGateway},
		{"nodes", []string{"n1", "n2"}, config{nonSticky: true}, http.StatusServiceUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, startDemo(t, tt.config).url())
			first := b.visit()
			for _, target := range tt.stop {
				b.postControl("stop", target)
			}
			for _, visitor := range []*browser{b, newBrowser(t, b.url)} { // one with a session, one without
				resp, err := visitor.client.Get(b.url)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != tt.status || !strings.Contains(string(body), `id="problem"`) || strings.Count(string(body), `value="start"`) != 2 {
					t.Fatalf("got %s, want %d, a problem and two start buttons:\n%s", resp.Status, tt.status, body)
				}
			}
			for _, target := range tt.stop {
				b.postControl("start", target)
			}
			if tt.name == "instances" {
				if now := b.visit(); now.base != first.base || now.visits != 2 {
					t.Errorf("after the start: %+v, want the second visit of %s", now, first.base)
				}
			}
		})
	}
}

// With -locking, visits count on.
func TestModes(t *testing.T) {
	for _, locking := range []string{"none", "all", "auto", "uriPattern:/.*"} {
		b := newBrowser(t, startDemo(t, config{nonSticky: true, locking: locking}).url())
		for want := 1; want <= 4; want++ {
			if got := b.visit(); got.visits != want {
				t.Fatalf("locking %s: visit %d counts as %d", locking, want, got.visits)
			}
		}
	}
}

func TestNoteAndEnd(t *testing.T) {
	b := newBrowser(t, startDemo(t, config{}).url())
	first := b.visit()
	const text = `<b>"bold"</b>`
	if now := b.press("note", url.Values{"note": {text}}); now.base != first.base {
		t.Errorf("a note began session %s, was %s", now.base, first.base)
	}
	resp, err := b.client.Get(b.url)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if want := `value="&lt;b&gt;&#34;bold&#34;&lt;/b&gt;"`; !strings.Contains(string(body), want) {
		t.Errorf("the page lacks %s:\n%s", want, body)
	}
	if now := b.press("end", nil); now.base == first.base || now.visits != 1 {
		t.Errorf("after the end: %+v, want the first visit of a session other than %s", now, first.base)
	}
}

func TestControlRefuses(t *testing.T) {
	s := startDemo(t, config{})
	tests := []struct {
		name, form, site string
		want             int
	}{
		{"another site", "action=stop&target=n1", "cross-site", http.StatusForbidden},
		{"unknown target", "action=stop&target=n9", "same-origin", http.StatusBadRequest},
		{"unknown action", "action=melt&target=n1", "same-origin", http.StatusBadRequest},
	}
	for _, tt := range tests {
		req, err := http.NewRequest("POST", s.url()+"control", strings.NewReader(tt.form))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", tt.site)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, resp.Status, tt.want)
		}
	}
	if !s.nodes[0].up() {
		t.Error("n1 was stopped by a request that should have been refused")
	}
}
