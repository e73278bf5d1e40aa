package msm

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
)

func everybody(*http.Request) bool { return true }
func nobody(*http.Request) bool    { return false }

// ask sends a request to an admin handler. A header is "Name: value".
func ask(h http.Handler, method, target, form string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form))
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const asJSON = "Accept: application/json"

// adminJSON reads what the handler says to a program.
func adminJSON(t *testing.T, h http.Handler) *adminState {
	t.Helper()
	w := ask(h, "GET", "/", "", asJSON)
	var s adminState
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	return &s
}

// setting returns a setting's value as the handler tells it.
func (s *adminState) setting(t *testing.T, name string) string {
	t.Helper()
	for _, st := range s.Settings {
		if st.Name == name {
			return st.Value
		}
	}
	t.Fatalf("no setting %s", name)
	return ""
}

// SR-64: whoever allow does not let in sees nothing and changes nothing.
func TestAdminRefuses(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, ns.config())
	before := m.core.Load()
	open := m.AdminHandler(everybody)
	for _, tt := range []struct {
		name    string
		h       http.Handler
		method  string
		headers []string
		want    int
	}{
		{"allow is nil", m.AdminHandler(nil), "GET", nil, 403},
		{"allow is nil", m.AdminHandler(nil), "POST", nil, 403},
		{"allow says no", m.AdminHandler(nobody), "GET", nil, 403},
		{"allow says no", m.AdminHandler(nobody), "HEAD", nil, 403},
		{"allow says no", m.AdminHandler(nobody), "GET", []string{asJSON}, 403},
		{"allow says no", m.AdminHandler(nobody), "POST", nil, 403},
		{"allow says no", m.AdminHandler(nobody), "POST", []string{asJSON}, 403},
		{"allow says no", m.AdminHandler(nobody), "DELETE", nil, 403},
		{"another site's form", open, "POST", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"a sibling's form", open, "POST", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"another origin", open, "POST", []string{"Origin: https://evil.example"}, 403},
		{"another method", open, "PUT", nil, 405},
		{"another method", open, "DELETE", nil, 405},
	} {
		t.Run(fmt.Sprint(tt.name, " ", tt.method), func(t *testing.T) {
			w := ask(tt.h, tt.method, "/", "OperationTimeout=77ms", tt.headers...)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d", w.Code, tt.want)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q, want no-store", got)
			}
			if strings.Contains(w.Body.String(), "n1") {
				t.Errorf("the answer shows a node: %s", w.Body)
			}
			if m.core.Load() != before {
				t.Error("something was changed")
			}
		})
	}
}

// GET changes nothing, whatever its query says.
func TestAdminGetIsSafe(t *testing.T) {
	m := instance(t, startNodes(t, 1).config())
	before := m.core.Load()
	if w := ask(m.AdminHandler(everybody), "GET", "/?OperationTimeout=77ms", ""); w.Code != http.StatusOK || m.core.Load() != before {
		t.Errorf("status %d, changed %v", w.Code, m.core.Load() != before)
	}
}

// adminChanges are forms, and what they make of a setting.
var adminChanges = []struct {
	name, form string
	make       func(*Config) // of the Config to begin with
	setting    string
	want       string // afterwards
	problem    string // "": it succeeds
}{
	{"time-out", "OperationTimeout=77ms", nil, "OperationTimeout", "77ms", ""},
	{"time-out in the wrong unit", "OperationTimeout=77", nil, "OperationTimeout", "1s", `"77" is no duration: write one like 500ms`},
	{"negative time-out", "OperationTimeout=-1s", nil, "OperationTimeout", "1s", "is not positive"},
	{"second copy's time-out", "SessionBackupTimeout=20ms", nil, "SessionBackupTimeout", "20ms", ""},
	{"second copy's time-out beside a shorter one", "OperationTimeout=77ms", nil, "SessionBackupTimeout", "100ms", ""},
	{"lock", "LockExpiration=9s", nil, "LockExpiration", "9s", ""},
	{"idle time", "MaxInactiveInterval=45m", nil, "MaxInactiveInterval", "45m0s", ""},
	{"idle for ever", "MaxInactiveInterval=never", nil, "MaxInactiveInterval", "never", ""},
	{"idle for no time", "MaxInactiveInterval=0s", nil, "MaxInactiveInterval", "30m0s", "is not positive"},
	{"failover", "FailoverNodes=n2", nil, "FailoverNodes", "n2", ""},
	{"failover nodes that are none", "FailoverNodes=n9", nil, "FailoverNodes", "", `"n9" is the id of no node`},
	{"nodes that are none", "MemcachedNodes=n1", nil, "FailoverNodes", "", "Config.MemcachedNodes"},
	{"disabled", "Disabled=true", nil, "Disabled", "true", ""},
	{"disabled, non-sticky", "Disabled=true", func(c *Config) { c.NonSticky = true }, "Disabled", "false", "excludes NonSticky"},
	{"disabled, misspelt", "Disabled=yes", nil, "Disabled", "false", "neither true nor false"},
	{"enabled", "Disabled=false", func(c *Config) { c.Disabled = true }, "Disabled", "false", ""},
	{"mode and locks together", "NonSticky=true&LockingMode=auto", nil, "LockingMode", "auto", ""},
	{"mode", "NonSticky=true", nil, "NonSticky", "true", ""},
	{"copies", "SessionBackupSync=true", nil, "SessionBackupSync", "true", ""},
	{"workers", "BackupThreadCount=7", nil, "BackupThreadCount", "7", ""},
	{"no workers", "BackupThreadCount=0", func(c *Config) { c.BackupThreadCount = 3 }, "BackupThreadCount", "3", "is no number from 1"},
	{"statistics", "DisableStatistics=true", nil, "DisableStatistics", "true", ""},
	{"filter", "SessionAttributeFilter=user%7Ccart", nil, "SessionAttributeFilter", "user|cart", ""},
	{"no filter", "SessionAttributeFilter=", func(c *Config) { c.SessionAttributeFilter = "a" }, "SessionAttributeFilter", "", ""},
	{"bad filter", "SessionAttributeFilter=(", nil, "SessionAttributeFilter", "", "Config.SessionAttributeFilter"},
	{"locking", "LockingMode=auto", func(c *Config) { c.NonSticky = true }, "LockingMode", "auto", ""},
	{"bad locking", "LockingMode=sometimes", func(c *Config) { c.NonSticky = true }, "LockingMode", "", "Config.LockingMode"},
	{"blanks around it", "FailoverNodes=+n2+", nil, "FailoverNodes", "n2", ""},
	{"two problems", "Disabled=yes&OperationTimeout=x", nil, "Disabled", "false", "OperationTimeout"},
	{"one good, one bad", "LockExpiration=9s&OperationTimeout=x", nil, "LockExpiration", "5s", "OperationTimeout"},
	{"what is only shown", "Route=evil", nil, "Route", "", "Route: cannot be changed here"},
	{"a secret", "Password=x", nil, "Route", "", "Password: cannot be changed here"},
	{"nothing", "", nil, "Route", "", "the form says nothing"},
}

// What can be changed at run time, through the page: CFG-06, CFG-07, CFG-08.
func TestAdminChanges(t *testing.T) {
	for _, tt := range adminChanges {
		t.Run(tt.name, func(t *testing.T) {
			cfg := startNodes(t, 2).config()
			if tt.make != nil {
				tt.make(&cfg)
			}
			m := instance(t, cfg)
			h := m.AdminHandler(everybody)
			want, status := http.StatusSeeOther, ""
			if tt.problem != "" {
				want, status = http.StatusUnprocessableEntity, "Nothing was changed."
			}
			w := ask(h, "POST", "/", tt.form, "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
			body := strings.NewReplacer("&#34;", `"`, "&lt;", "<").Replace(w.Body.String())
			if w.Code != want || !strings.Contains(body, tt.problem) || !strings.Contains(body, status) {
				t.Errorf("status %d, want %d, with %q: %s", w.Code, want, tt.problem, problemOf(body))
			}
			if got := adminJSON(t, h).setting(t, tt.setting); got != tt.want {
				t.Errorf("%s is %q afterwards, want %q", tt.setting, got, tt.want)
			}
		})
	}
}

// problemOf is the part of a page that says what is wrong.
func problemOf(page string) string {
	_, rest, found := strings.Cut(page, `id="problem">`)
	problem, _, _ := strings.Cut(rest, "</section>")
	if !found {
		return page[:min(len(page), 200)]
	}
	return problem
}

// CFG-07, through JSON: bad nodes change nothing, and the old ones serve on.
func TestAdminChangesAsJSON(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, ns.config())
	h := m.AdminHandler(everybody)
	b := &browser{}
	b.set(t, m, "user", "ann")
	w := ask(h, "POST", "/?format=json", "MemcachedNodes=n1:nowhere")
	var s adminState
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != http.StatusUnprocessableEntity || len(s.Problems) == 0 {
		t.Errorf("status %d, %v, problems %q", w.Code, err, s.Problems)
	}
	if got := b.get(t, m, "user"); got != "ann" {
		t.Errorf("the session says %q, want ann", got)
	}
	w = ask(h, "POST", "/", "LockExpiration=8s", asJSON)
	s = adminState{}
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != http.StatusOK || s.setting(t, "LockExpiration") != "8s" {
		t.Errorf("status %d, %v, %+v", w.Code, err, s.Settings)
	}
}

// Two changes at the same time: none undoes the other.
func TestAdminChangesInParallel(t *testing.T) {
	m := instance(t, startNodes(t, 2).config())
	h := m.AdminHandler(everybody)
	var group sync.WaitGroup
	for _, form := range []string{"LockExpiration=9s", "OperationTimeout=77ms", "FailoverNodes=n2", "SessionAttributeFilter=a", "MaxInactiveInterval=never"} {
		group.Go(func() {
			if w := ask(h, "POST", "/", form); w.Code != http.StatusSeeOther {
				t.Errorf("%s: status %d", form, w.Code)
			}
		})
	}
	group.Wait()
	s := adminJSON(t, h)
	got := []string{s.setting(t, "LockExpiration"), s.setting(t, "OperationTimeout"), s.setting(t, "FailoverNodes"), s.setting(t, "SessionAttributeFilter"), s.setting(t, "MaxInactiveInterval")}
	if want := "[9s 77ms n2 a never]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// SR-61, SR-62, SR-64: the page and its JSON show fingerprints, never an id, a storage
// key, a value or a password.
func TestAdminShowsNoSecrets(t *testing.T) {
	cfg := startNodes(t, 2).config()
	cfg.ValueKeys = [][]byte{[]byte("0123456789abcdef0123456789ABCDEF")}
	m := instance(t, cfg)
	h := m.AdminHandler(everybody)
	a, b := &browser{}, &browser{}
	a.set(t, m, "user", "value-of-ann")
	b.set(t, m, "user", "value-of-bob")
	keys := m.core.Load().store.keys
	for _, headers := range [][]string{nil, {asJSON}} {
		page := ask(h, "GET", "/", "", headers...).Body.String()
		for _, secret := range []string{a.id(t).base, b.id(t).base, keys.session(a.id(t).base), "value-of", "0123456789abcdef", string(m.AdminHandler(nil).(*adminHandler).prints.key)} {
			if strings.Contains(page, secret) {
				t.Errorf("%v: the page shows %q", headers, secret)
			}
		}
	}
	s := adminJSON(t, h)
	if len(s.Sessions) != 2 || s.Sessions[0].Fingerprint == s.Sessions[1].Fingerprint {
		t.Fatalf("sessions are %+v, want 2 with fingerprints of their own", s.Sessions)
	}
	for _, session := range s.Sessions {
		if !regexp.MustCompile(`^[0-9a-f]{10}$`).MatchString(session.Fingerprint) || session.Attributes != 1 || session.Bytes == 0 || session.Node == "" {
			t.Errorf("a session is shown as %+v", session)
		}
	}
	if other := adminJSON(t, m.AdminHandler(everybody)); other.Sessions[0].Fingerprint == s.Sessions[0].Fingerprint || other.Sessions[0].Fingerprint == s.Sessions[1].Fingerprint {
		t.Error("two handlers give a session the same fingerprint: it could be looked up")
	}
}

// The page tells which node is down, and since when.
func TestAdminShowsNodes(t *testing.T) {
	ns := startNodes(t, 2)
	cfg := ns.config()
	cfg.FailoverNodes = "n2"
	m := instance(t, cfg)
	h := m.AdminHandler(everybody)
	b := &browser{}
	b.set(t, m, "user", "ann")
	for _, id := range []string{"n1", "n2"} {
		if page := ask(h, "GET", "/", "").Body.String(); !strings.Contains(page, fmt.Sprintf(`data-name="%s" data-up="true"`, id)) {
			t.Errorf("%s is not shown as up", id)
		}
	}
	rest(t, m) // second copies
	ns.kill("n1")
	poll(t, "n1 is shown as down", func() bool {
		b.count(t, m)
		page := ask(h, "GET", "/", "").Body.String()
		return strings.Contains(page, `data-name="n1" data-up="false"`) && strings.Contains(page, "down since")
	})
	nodes := adminJSON(t, h).Stats.Nodes
	if len(nodes) != 2 || nodes[0].Up || nodes[0].Cause == "" || time.Since(nodes[0].DownSince) > time.Minute || !nodes[1].Up || !nodes[1].Failover {
		t.Errorf("nodes are %+v", nodes)
	}
}

// What operators write is text in the page, not markup.
func TestAdminQuotes(t *testing.T) {
	cfg := startNodes(t, 1).config()
	cfg.SessionAttributeFilter = `"><script>alert(1)</script>`
	m := instance(t, cfg)
	h := m.AdminHandler(everybody)
	for _, form := range []string{"", "OperationTimeout=<script>", "<script>=1"} {
		method := "POST"
		if form == "" {
			method = "GET"
		}
		w := ask(h, method, "/", form)
		if strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%q: the page has markup of its operator's", form)
		}
		if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || !strings.Contains(got, "frame-ancestors 'none'") || strings.Contains(got, "unsafe") {
			t.Errorf("Content-Security-Policy is %q", got)
		}
	}
}

// After a change the browser gets the page again, wherever it is mounted.
func TestAdminAnywhere(t *testing.T) {
	m := instance(t, startNodes(t, 1).config())
	mux := http.NewServeMux()
	mux.Handle("/deep/down/", http.StripPrefix("/deep/down", m.AdminHandler(everybody)))
	server := httptest.NewServer(mux)
	defer server.Close()
	resp, err := server.Client().PostForm(server.URL+"/deep/down/sessions?x=1", url.Values{"LockExpiration": {"9s"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Request.URL.Path; got != "/deep/down/sessions" || resp.StatusCode != http.StatusOK {
		t.Errorf("the change leads to %s, status %d", got, resp.StatusCode)
	}
	if want := `name="LockExpiration" value="9s"`; !strings.Contains(string(page), want) {
		t.Errorf("the page does not show %s", want)
	}
}

func TestAdminBoundsForms(t *testing.T) {
	m := instance(t, startNodes(t, 1).config())
	before := m.core.Load()
	w := ask(m.AdminHandler(everybody), "POST", "/", "SessionAttributeFilter="+strings.Repeat("a", maxAdminForm))
	if w.Code != http.StatusBadRequest || m.core.Load() != before {
		t.Errorf("a form of more than %d bytes: status %d, changed %v", maxAdminForm, w.Code, m.core.Load() != before)
	}
}

func TestAdminAfterShutdown(t *testing.T) {
	m := instance(t, startNodes(t, 1).config())
	shutdown(t, m)
	h := m.AdminHandler(everybody)
	if w := ask(h, "GET", "/", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "shut down") {
		t.Errorf("status %d", w.Code)
	}
	if w := ask(h, "POST", "/", "LockExpiration=9s"); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), errOver.Error()) {
		t.Errorf("a change: status %d", w.Code)
	}
}

// The list is bounded, whatever the number of sessions.
func TestAdminListsSomeSessions(t *testing.T) {
	cfg := Config{Disabled: true}
	m := instance(t, cfg)
	for range shownSessions + 10 {
		new(browser).set(t, m, "a", 1)
	}
	s := adminJSON(t, m.AdminHandler(everybody))
	if len(s.Sessions) != shownSessions || s.Stats.LocalSessions != shownSessions+10 {
		t.Errorf("%d of %d are listed, want %d of %d", len(s.Sessions), s.Stats.LocalSessions, shownSessions, shownSessions+10)
	}
}

func TestScale(t *testing.T) {
	for millis, want := range map[float64]float64{0: 0, 0.001: 0, 0.01: 100. / 7, 1: 300. / 7, 1e4: 100, 1e9: 100} {
		if got := onScale(millis); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%v ms are drawn at %v, want %v", millis, got, want)
		}
	}
}

// The nodes of a client of the caller's are its own; what stands beside them in
// the form can be changed.
func TestAdminWithClient(t *testing.T) {
	ns := startNodes(t, 2)
	client, err := memcache.New(memcache.Config{Nodes: ns.list(1, 2)})
	must(t, err)
	defer client.Close()
	m := instance(t, Config{Client: client})
	h := m.AdminHandler(everybody)
	nodes := url.QueryEscape(adminJSON(t, h).setting(t, "MemcachedNodes"))
	if w := ask(h, "POST", "/", "MemcachedNodes="+nodes+"&FailoverNodes=n2"); w.Code != http.StatusSeeOther {
		t.Errorf("failover nodes: status %d: %s", w.Code, problemOf(w.Body.String()))
	}
	if got := adminJSON(t, h).setting(t, "FailoverNodes"); got != "n2" {
		t.Errorf("FailoverNodes is %q, want n2", got)
	}
	if w := ask(h, "POST", "/", "MemcachedNodes="+url.QueryEscape(ns.list(1))); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "SetRing") {
		t.Errorf("other nodes: status %d: %s", w.Code, problemOf(w.Body.String()))
	}
}
