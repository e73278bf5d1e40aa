package msm

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mustCookie(t *testing.T, c Cookie) *cookieWriter {
	t.Helper()
	cw, err := newCookieWriter(c)
	if err != nil {
		t.Fatalf("newCookieWriter(%+v) = %v", c, err)
	}
	return cw
}

func TestSR16_CookieAttributes(t *testing.T) {
	for _, tc := range []struct {
		name, reason string
		cookie       Cookie
		want         string
	}{
		{"zero", "the safest cookie is the default", Cookie{},
			"__Host-sid=v; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"insecure", "plain HTTP: the default name loses its prefix", Cookie{Insecure: true},
			"sid=v; Path=/; HttpOnly; SameSite=Lax"},
		{"default SameSite", "net/http's constant for 'not said'", Cookie{SameSite: http.SameSiteDefaultMode},
			"__Host-sid=v; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"everything", "each field has its attribute", Cookie{Name: "__Secure-s", Path: "/app", Domain: "example.com", MaxAge: time.Hour, SameSite: http.SameSiteNoneMode},
			"__Secure-s=v; Path=/app; Domain=example.com; Max-Age=3600; HttpOnly; Secure; SameSite=None"},
		{"leading dot", "RFC 6265 ignores it, and so does net/http", Cookie{Name: "s", Domain: ".example.com", SameSite: http.SameSiteStrictMode},
			"s=v; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Strict"},
		{"part of a second", "rounded up: 0 would delete the cookie", Cookie{MaxAge: time.Millisecond},
			"__Host-sid=v; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Lax"},
		{"longest", "400 days", Cookie{MaxAge: 400 * 24 * time.Hour},
			"__Host-sid=v; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			mustCookie(t, tc.cookie).set(h, "v")
			if diff := cmp.Diff([]string{tc.want}, h["Set-Cookie"]); diff != "" {
				t.Errorf("%s: Set-Cookie (-want +got):\n%s", tc.reason, diff)
			}
			if _, err := http.ParseSetCookie(h.Get("Set-Cookie")); err != nil {
				t.Errorf("net/http cannot read it: %v", err)
			}
		})
	}
}

func TestSR17_BadCookiesAreReported(t *testing.T) {
	for _, tc := range []struct {
		name, reason string
		cookie       Cookie
		want         []string // one for each problem: the field, then what the message must say
	}{
		{"__Host- with Domain", "host-only by its name", Cookie{Domain: "example.com"}, []string{"Domain: __Secure-"}},
		{"__Host- with Path", "Path=/ by its name", Cookie{Path: "/app"}, []string{"Path: use /"}},
		{"__Host- without Secure", "Secure by its name", Cookie{Name: "__Host-sid", Insecure: true}, []string{"Insecure: without prefix"}},
		{"prefix in other case", "browsers compare without regard to case", Cookie{Name: "__hOsT-sid", Insecure: true, Path: "/app", Domain: "example.com"},
			[]string{"Insecure: prefix", "Domain: empty", "Path: use /"}},
		{"__Secure- without Secure", "Secure by its name", Cookie{Name: "__Secure-sid", Insecure: true}, []string{"Insecure: without prefix"}},
		{"__Http- without Secure", "layered cookies draft", Cookie{Name: "__Http-sid", Insecure: true}, []string{"Insecure: without prefix"}},
		{"__Host-Http- with Domain", "layered cookies draft", Cookie{Name: "__Host-Http-sid", Domain: "example.com"}, []string{"Domain: __Secure-"}},
		{"None without Secure", "browsers refuse it", Cookie{SameSite: http.SameSiteNoneMode, Insecure: true}, []string{"SameSite: Lax"}},
		{"unknown SameSite", "not a constant of net/http", Cookie{SameSite: 9}, []string{"SameSite: net/http"}},
		{"illegal name", "a blank ends the name", Cookie{Name: "my sid"}, []string{"Name: letters"}},
		{"name with =", "it would end the name", Cookie{Name: "a=b"}, []string{"Name: letters"}},
		{"long name", "name and value share 4096 bytes", Cookie{Name: strings.Repeat("s", 4096-maxIDLen+1)}, []string{"Name: at most 3936"}},
		{"Path without slash", "browsers would use another one", Cookie{Name: "s", Path: "app"}, []string{"Path: start with /"}},
		{"Path with semicolon", "it would start an attribute", Cookie{Name: "s", Path: "/;Domain=evil"}, []string{"Path: semicolon"}},
		{"Domain with semicolon", "likewise", Cookie{Name: "s", Domain: "a.com; Path=/x"}, []string{"Domain: domain name"}},
		{"MaxAge beyond 400 days", "browsers cut it", Cookie{MaxAge: 400*24*time.Hour + 1}, []string{"MaxAge: 9600h"}},
		{"negative MaxAge", "would delete the cookie", Cookie{MaxAge: -1}, []string{"MaxAge: 0"}},
		{"all at once", "every problem is told", Cookie{Name: "__Secure- x", Path: "x", Domain: "a b", MaxAge: -1, SameSite: 9, Insecure: true},
			[]string{"Name: letters", "Path: start", "Domain: domain name", "MaxAge: 0", "SameSite: constant", "Insecure: Secure"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := newCookieWriter(tc.cookie)
			if err == nil {
				t.Fatalf("newCookieWriter(%+v) = nil, want an error: %s", tc.cookie, tc.reason)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(lines), len(tc.want), err)
			}
			for i, want := range tc.want {
				field, says, _ := strings.Cut(want, ": ")
				if !strings.HasPrefix(lines[i], "msm: Config.Cookie."+field+": ") || !strings.Contains(lines[i], says) {
					t.Errorf("problem %d = %q, want one of %s that says %q", i, lines[i], field, says)
				}
			}
		})
	}
	for _, c := range []Cookie{
		{Name: "__Http-sid", Path: "/app", Domain: "example.com"},
		{Name: "__Host-Http-sid"},
		{Name: "__Secure-sid", Domain: "example.com", Path: "/app"},
		{Name: strings.Repeat("s", 4096-maxIDLen)},
		{Insecure: true, Domain: "localhost", Path: "/app"},
	} {
		if _, err := newCookieWriter(c); err != nil {
			t.Errorf("newCookieWriter(%.80v) = %v, want nil", c, err)
		}
	}
}

func TestCookieCandidates(t *testing.T) {
	cw := mustCookie(t, Cookie{})
	base := func(i int) string { return testBase[:baseLen-1] + string(testBase[i]) }
	for _, tc := range []struct {
		name, reason string
		lines        []string
		want         []string
	}{
		{"none", "no header at all", nil, nil},
		{"one", "the usual case", []string{"__Host-sid=" + base(0)}, []string{base(0)}},
		{"REQ-09 among others", "names that contain ours are not ours",
			[]string{"a=b; x__Host-sid=" + base(1) + "; __Host-sid=" + base(0) + "; __Host-sidx=" + base(2)}, []string{base(0)}},
		{"other case", "cookie names have a case", []string{"__host-sid=" + base(0)}, nil},
		{"two lines", "HTTP/2 may split the header", []string{"__Host-sid=" + base(0), "__Host-sid=" + base(1)}, []string{base(0), base(1)}},
		{"malformed before good", "SR-13: all that have our name are looked at", []string{"__Host-sid=x; __Host-sid=" + base(0)}, []string{base(0)}},
		{"SR-13", "four are examined, well-formed or not",
			[]string{"__Host-sid=" + base(0) + "; __Host-sid=x; __Host-sid=" + base(1) + "; __Host-sid=; __Host-sid=" + base(2)}, []string{base(0), base(1)}},
		{"SR-13 five good ones", "the fifth is not looked at",
			[]string{strings.Repeat("__Host-sid="+base(0)+"; ", 4) + "__Host-sid=" + base(1)}, []string{base(0), base(0), base(0), base(0)}},
		{"SR-06", "a quoted value is no second spelling of an id", []string{`__Host-sid="` + base(0) + `"`}, nil},
		{"SR-04 trailing blank", "not in the grammar", []string{"__Host-sid=" + base(0) + " ; a=b"}, nil},
		{"SR-04 percent", "never decoded", []string{"__Host-sid=%61" + base(0)[1:]}, nil},
		{"blank before =", "not our name", []string{"__Host-sid =" + base(0)}, nil},
		{"no blank after ;", "allowed by every server", []string{"a=b;__Host-sid=" + base(0)}, []string{base(0)}},
		{"nothing but separators", "no loop without end", []string{";;;;; ;", ""}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Cookie"] = tc.lines
			var got []string
			for _, id := range cw.candidates(r, nil) {
				got = append(got, id.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCookieCandidatesDoNotAllocate(t *testing.T) {
	cw := mustCookie(t, Cookie{})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "a=b; __Host-sid="+testBase+"-n1; theme=dark")
	if got := testing.AllocsPerRun(100, func() {
		var room [maxCandidates]sessionID
		if len(cw.candidates(r, room[:0])) != 1 {
			t.Fatal("cookie not found")
		}
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// FuzzCookieCandidates: never more than four, each with our exact name, and
// nothing that net/http, which is laxer, would not find as well.
func FuzzCookieCandidates(f *testing.F) {
	f.Add("__Host-sid=" + testBase)
	f.Add("a=b; __Host-sid=" + testBase + "-n1~z.tc1;__Host-sid=\"" + testBase + "\"")
	f.Add(";;__Host-sid=;")
	cw, err := newCookieWriter(Cookie{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{Header: http.Header{"Cookie": {line}}}
		found := cw.candidates(r, nil)
		if len(found) > maxCandidates {
			t.Fatalf("%d candidates, want at most %d", len(found), maxCandidates)
		}
		lax := r.CookiesNamed("__Host-sid")
		for _, id := range found {
			if !slices.ContainsFunc(lax, func(c *http.Cookie) bool { return c.Value == id.String() && !c.Quoted }) {
				t.Errorf("candidate %q is not among net/http's %v", id, lax)
			}
		}
	})
}

func TestSR18_ExactlyOneSetCookie(t *testing.T) {
	cw := mustCookie(t, Cookie{})
	h := http.Header{"Set-Cookie": {"theme=dark", "__Host-sid=old; Path=/", "__Host-sidx=1", "__host-sid=2", "lang=de"}}
	shared := h["Set-Cookie"]
	before := slices.Clone(shared)
	cw.set(h, "one")
	cw.set(h, "two")
	want := []string{"theme=dark", "__Host-sidx=1", "__host-sid=2", "lang=de", "__Host-sid=two; Path=/; HttpOnly; Secure; SameSite=Lax"}
	if diff := cmp.Diff(want, h["Set-Cookie"]); diff != "" {
		t.Errorf("Set-Cookie (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, shared); diff != "" {
		t.Errorf("the handler's own slice was changed (-want +got):\n%s", diff)
	}
	cw.remove(h)
	if got := h["Set-Cookie"]; len(got) != 5 || !strings.HasPrefix(got[4], "__Host-sid=; ") {
		t.Errorf("after remove Set-Cookie = %q, want the others and one deletion", got)
	}
}

func TestSR20_DeletionRepeatsTheAttributes(t *testing.T) {
	h := http.Header{}
	mustCookie(t, Cookie{Name: "__Secure-s", Path: "/app", Domain: "example.com", MaxAge: time.Hour, SameSite: http.SameSiteStrictMode}).remove(h)
	want := "__Secure-s=; Path=/app; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Strict"
	if got := h.Get("Set-Cookie"); got != want {
		t.Errorf("deletion = %q, want %q", got, want)
	}
	if got := h.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
	c, err := http.ParseSetCookie(want)
	if err != nil || c.MaxAge != -1 || !c.Expires.Equal(time.Unix(0, 0)) {
		t.Errorf("net/http reads %+v, %v; want a cookie to be deleted", c, err)
	}
}

func TestSR19_CacheControl(t *testing.T) {
	for _, tc := range []struct {
		name, reason string
		in           []string
		want         string
	}{
		{"none", "the usual case", nil, "no-store"},
		{"public", "would let shared caches keep the cookie", []string{"public, max-age=3600"}, "max-age=3600, no-store"},
		{"s-maxage", "means public", []string{"s-maxage=10"}, "no-store"},
		{"other case", "directives have none", []string{"PUBLIC, S-MaxAge=1, Private"}, "Private, no-store"},
		{"must-understand", "switches no-store off in caches that understand", []string{"must-understand, no-store"}, "no-store"},
		{"already there", "once is enough", []string{"no-store", "no-cache"}, "no-cache, no-store"},
		{"quoted list", "commas in quotes do not separate", []string{`no-cache="Set-Cookie, public", private`}, `no-cache="Set-Cookie, public", private, no-store`},
		{"escaped quote", "does not end the string", []string{`x="a\", public", public`}, `x="a\", public", no-store`},
		{"endless string", "caches might read public in it", []string{`private, x="a, public`}, "private, no-store"},
		{"blanks and empty ones", "a list may have holes", []string{" , private ,, public = x"}, "private, no-store"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			if tc.in != nil {
				h["Cache-Control"] = tc.in
			}
			mustCookie(t, Cookie{}).set(h, "v")
			if diff := cmp.Diff([]string{tc.want}, h["Cache-Control"]); diff != "" {
				t.Errorf("%s: Cache-Control (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSR19_VaryCookie(t *testing.T) {
	for _, tc := range []struct {
		name     string
		in, want []string
	}{
		{"none", nil, []string{"Cookie"}},
		{"another", []string{"Accept-Encoding"}, []string{"Accept-Encoding", "Cookie"}},
		{"already there", []string{"Accept, cookie"}, []string{"Accept, cookie"}},
		{"everything", []string{"*"}, []string{"*"}},
		{"part of another", []string{"Cookie2"}, []string{"Cookie2", "Cookie"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			if tc.in != nil {
				h["Vary"] = tc.in
			}
			varyCookie(h)
			if diff := cmp.Diff(tc.want, h["Vary"]); diff != "" {
				t.Errorf("Vary (-want +got):\n%s", diff)
			}
		})
	}
	h := http.Header{}
	mustCookie(t, Cookie{}).set(h, "v")
	if got := h["Vary"]; got != nil {
		t.Errorf("set alone gives Vary = %q, want none: a handler that did not read the session does not vary by it", got)
	}
}

func TestSR21_PlainHTTPIsWarnedOfOnce(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	plain := httptest.NewRequest("GET", "http://example.com/", nil)
	secure := httptest.NewRequest("GET", "https://example.com/", nil)
	for _, tc := range []struct {
		name, reason string
		cookie       Cookie
		requests     []*http.Request
		want         int
	}{
		{"plain", "once, not once a request", Cookie{}, []*http.Request{plain, plain, plain}, 1},
		{"TLS", "as it should be", Cookie{}, []*http.Request{secure}, 0},
		{"insecure", "the operator has said so", Cookie{Insecure: true}, []*http.Request{plain}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out.Reset()
			cw := mustCookie(t, tc.cookie)
			for _, r := range tc.requests {
				cw.warnPlain(log, r)
				cw.warnPlain(nil, r)
				h := http.Header{}
				if cw.set(h, "v"); len(h["Set-Cookie"]) != 1 {
					t.Error("the cookie was not emitted")
				}
			}
			if got := strings.Count(out.String(), "level=WARN"); got != tc.want {
				t.Errorf("%d warnings, want %d: %s\n%s", got, tc.want, tc.reason, out.String())
			}
		})
	}
}
