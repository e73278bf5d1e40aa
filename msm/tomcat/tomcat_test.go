package tomcat_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed99545744/msm/msm"
	"github.com/seed99545744/msm/msm/tomcat"
)

// sameTranscoder compares what has no fields to compare.
var sameTranscoder = cmp.Comparer(func(a, b msm.Transcoder) bool { return a == b })

func open(t *testing.T, file string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Whole files, as people write them.
func TestFiles(t *testing.T) {
	const noRoute, noPath = "there is no jvmRoute", "the Context has no path"
	const pattern, cookie = "requestUriIgnorePattern: it is compared", "the cookie is __Host-sid"
	const javolution = "attributes are stored by msm.XML, where MSM uses Javolution"
	for _, tt := range []struct {
		file, reason string
		want         msm.Config
		warnings     []string // each begins so, in any order
	}{
		{
			"sticky.xml", "two nodes with commas, one for failover",
			msm.Config{
				MemcachedNodes: "n1:192.168.0.6:11211,n2:192.168.0.7:11211", FailoverNodes: "n2",
				RequestURIIgnorePattern: `.*\.(ico|png|gif|jpg|css|js)$`, Transcoder: msm.XML, Context: "/test",
			},
			[]string{pattern, cookie, noRoute, "transcoderFactoryClass: " + javolution},
		},
		{
			"localhost.xml", "blanks between nodes, a time-out in the wrong unit, another Manager in a comment",
			msm.Config{
				MemcachedNodes: "n1:localhost:11211 n2:localhost:11212", RequestURIIgnorePattern: `.*\.(png|gif|jpg|css|js)`,
				SessionBackupSync: true, SessionBackupTimeout: 30 * time.Minute, Transcoder: msm.XML,
			},
			[]string{pattern, cookie, noRoute, noPath, "transcoderFactoryClass: " + javolution,
				`sessionBackupTimeout="1800000" is 30m0s, since its unit is a millisecond: no longer than operationTimeout, 1s, is waited`},
		},
		{
			"nonsticky.xml", "the usual non-sticky one, with blanks after =" + "; ${} outside the Manager is none of ours",
			msm.Config{
				MemcachedNodes: "n1:10.15.0.174:11211 n2:10.15.0.174:11212", NonSticky: true, LockingMode: "auto",
				RequestURIIgnorePattern: `.*\.(png|gif|jpg|css|js)$`, SessionBackupTimeout: 100 * time.Millisecond, Transcoder: msm.Compact,
			},
			[]string{pattern, cookie, noPath, "copyCollectionsForSerialization is not needed",
				"transcoderFactoryClass: attributes are stored by msm.Compact, where MSM uses Kryo"},
		},
		{
			"server.xml", "everything a server.xml says, in Latin 1",
			msm.Config{
				MemcachedNodes: "n1:mc1:11211,n2:mc2:11211,n3:mc3:11211", MemcachedProtocol: "binary", Username: "kasse", Password: "Köln & Bonn",
				NonSticky: true, LockingMode: "uriPattern:.*/pay(/.*)?", LockExpiration: 10 * time.Second,
				OperationTimeout: 500 * time.Millisecond, SessionBackupTimeout: 200 * time.Millisecond, BackupThreadCount: 4,
				SessionAttributeFilter: `user|cart\..*`, Transcoder: msm.JSON, DisableStatistics: true, StorageKeyPrefix: "static:shop,context.hash",
				MaxInactiveInterval: 45 * time.Minute,
				Route:               "tc1", Host: "shop.example.com", Context: "/kasse##007", Version: "007",
				Cookie: msm.Cookie{Name: "KASSE", Path: "/kasse", Domain: "example.com", SameSite: http.SameSiteStrictMode},
			},
			[]string{
				"the <Manager> of a <Cluster> is passed over", "lockingMode: the pattern is compared",
				`customConverter="com.example.MoneyConverter, com.example.DateConverter" names classes of Java`,
				"transcoderFactoryClass: attributes are stored by msm.JSON, where MSM uses flexjson",
				"processExpiresFrequency has no counterpart", "the cookie KASSE is for HTTPS only", `useHttpOnly="false": the cookie is HttpOnly always`,
			},
		},
	} {
		t.Run(tt.file, func(t *testing.T) {
			got, warnings, err := tomcat.ParseContext(open(t, tt.file))
			if err != nil {
				t.Fatalf("%v: %s", err, tt.reason)
			}
			if diff := cmp.Diff(tt.want, got, sameTranscoder); diff != "" {
				t.Errorf("Config differs (-want +got): %s\n%s", tt.reason, diff)
			}
			checkWarnings(t, warnings, tt.warnings)
			mustNew(t, got)
		})
	}
}

// checkWarnings wants each of these beginnings once, and nothing else.
func checkWarnings(t *testing.T, got, want []string) {
	t.Helper()
	left := append([]string(nil), got...)
	for _, w := range want {
		i := 0
		for i < len(left) && !strings.HasPrefix(left[i], w) {
			i++
		}
		if i == len(left) {
			t.Errorf("no warning begins with %q; got %q", w, got)
			continue
		}
		left = append(left[:i], left[i+1:]...)
	}
	for _, w := range left {
		t.Errorf("unexpected warning %q", w)
	}
}

// mustNew makes a manager, which does no I/O.
func mustNew(t *testing.T, cfg msm.Config) *msm.Manager {
	t.Helper()
	m, err := msm.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { end(t, m) })
	return m
}

// manager is a context.xml whose Manager has these attributes beside what it
// must have.
func manager(attributes string) string {
	nodes := `memcachedNodes="n1:a:1,n2:b:2"`
	if strings.Contains(attributes, "memcachedNodes=") {
		nodes = ""
	}
	return `<Context path=""><Manager className="de.javakaffee.web.msm.MemcachedBackupSessionManager" ` + nodes + " " + attributes + "/></Context>"
}

// What cannot be read is said with its place and what to do.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []string // all in the error
	}{
		{"nothing", "", []string{"there is no <Manager>", "<Context>"}},
		{"no Manager", "<Context/>", []string{"there is no <Manager>"}},
		{"only the cluster's", "<Engine><Cluster><Manager/></Cluster></Engine>", []string{"there is no <Manager>", "<Cluster>"}},
		{"two Managers", "<Host name='h'>\n<Context path='/a'><Manager/></Context>\n<Context path='/b'><Manager/></Context></Host>",
			[]string{`more than one <Manager>`, `<Manager> in <Context path="/a"> in <Host name="h">, line 2`, `<Context path="/b"> in <Host name="h">, line 3`, "leave in the file the one"}},
		{"two in one Context", "<Context><Manager/><Manager/></Context>", []string{"more than one <Manager>"}},
		{"no class and no nodes", `<Context><Manager pathname=""/></Context>`, []string{"Tomcat's own manager", "de.javakaffee.web.msm.MemcachedBackupSessionManager"}},
		{"another class", `<Context><Manager className="org.apache.catalina.session.PersistentManager" foo="1"/></Context>`,
			[]string{"org.apache.catalina.session.PersistentManager", "is another session manager"}},
		{"the dummy", `<Context><Manager className="de.javakaffee.web.msm.DummyMemcachedBackupSessionManager"/></Context>`, []string{"stores nothing", "write de.javakaffee.web.msm.MemcachedBackupSessionManager"}},
		{"no nodes", `<Manager className="de.javakaffee.web.msm.MemcachedBackupSessionManager"/>`, []string{"memcachedNodes is missing", "n1:host:port"}},
		{"unknown attribute", manager(`currentNodeId="n1"`), []string{"<Manager>", "line 1", "currentNodeId is no attribute of memcached-session-manager"}},
		{"never an attribute", manager(`connectionType="SASL"`), []string{"connectionType is no attribute"}},
		{"wrong case", manager(`requestURIIgnorePattern="x"`), []string{"requestURIIgnorePattern is unknown: write requestUriIgnorePattern"}},
		{"twice", manager(`sticky="true" sticky="false"`), []string{"sticky is there twice"}},
		{"a child", `<Context><Manager className="de.javakaffee.web.msm.MemcachedBackupSessionManager" memcachedNodes="a:1"><Store/></Manager></Context>`, []string{"<Store>", "remove it"}},
		{"a property", manager(`memcachedNodes="${nodes}"`), []string{"memcachedNodes holds ${nodes}", "write the value itself"}},
		{"several", manager(`sticky="yes" lockExpiration="5s" foo="bar"`), []string{`sticky="yes" is neither`, `lockExpiration="5s" is no whole number`, "foo is no attribute"}},
		{"same site", `<Context><CookieProcessor sameSiteCookies="loose"/>` + manager("")[len(`<Context path="">`):], []string{`sameSiteCookies="loose"`, "lax"}},
		{"session time-out", `<Context sessionTimeout="1h">` + manager("")[len(`<Context path="">`):], []string{`sessionTimeout="1h" of <Context> is no whole number`}},
		{"Tomcat's filter", manager(`sessionAttributeNameFilter="a"`), []string{"write it as sessionAttributeFilter"}},

		{"no XML", "memcachedNodes=n1:a:1", []string{"there is no <Manager>"}},
		{"cut short", "<Context><Manager", []string{"tomcat: XML syntax error on line 1"}},
		{"unquoted", "<Context>\n<Manager sticky=true/></Context>", []string{"line 2", "unquoted"}},
		{"an entity of a DOCTYPE", "<!DOCTYPE x [<!ENTITY manager SYSTEM \"file:///etc/passwd\">]>\n<Context>&manager;</Context>", []string{"line 2", "what a DOCTYPE declares is not read"}},
		{"UTF-16", "<?xml version='1.0' encoding='UTF-16'?><Context/>", []string{`encoding "UTF-16" is not read: save the file as UTF-8`}},
		{"GBK", "<?xml version='1.0' encoding='GBK'?><Context/>", []string{`"GBK"`, "UTF-8"}},
		{"deep", strings.Repeat("<a>", 100), []string{"more than 64 elements"}},
		{"wide", "<a" + strings.Repeat(" x=''", 300) + "/>", []string{"more than 200 attributes"}},
		{"large", strings.Repeat(" ", 1<<20+1), []string{"more than 1048576 bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, _, err := tomcat.ParseContext(strings.NewReader(tt.file))
			if err == nil {
				t.Fatalf("no error; got %+v", cfg)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if diff := cmp.Diff(msm.Config{}, cfg); diff != "" {
				t.Errorf("beside the error there is a Config: %s", diff)
			}
		})
	}
}

// SR-49: neither an error nor a warning shows a password.
func TestPasswordsStaySecret(t *testing.T) {
	const secret = "s3cr3t"
	for _, file := range []string{
		manager(`username="u" password="` + secret + `"`),
		manager(`memcachedProtocol="binary" username="u" password="` + secret + `" sticky="yes"`),
		manager(`password="x${` + secret + `"`),
		manager(`memcachedProtocol="binary" password="` + secret + `"`),
		manager(`memcachedNodes="redis://:` + secret + `@h:6379"`),
		manager(`memcachedNodes="redis:` + secret + `://h"`),
		manager(`memcachedNodes="http://u:` + secret + `@h:8091/pools,http://u:` + secret + `@%zz/pools"`),
		manager(`password="a&` + secret + `;"`),
		manager(`password="a&` + secret + `"`),
		manager(`password="a<` + secret + `"`),
		manager(`password="` + secret + `" password="` + secret + `"`),
	} {
		_, warnings, err := tomcat.ParseContext(strings.NewReader(file))
		if err != nil {
			warnings = append(warnings, err.Error())
		}
		if len(warnings) == 0 {
			t.Errorf("%s: neither error nor warning", file)
		}
		for _, w := range warnings {
			if strings.Contains(w, secret) {
				t.Errorf("%s:\nthe password stands in %q", file, w)
			}
		}
	}
}

// What stands around the Manager.
func TestSurroundings(t *testing.T) {
	const m = `<Manager className="de.javakaffee.web.msm.MemcachedBackupSessionManager" memcachedNodes="n1:a:1,n2:b:2"/>`
	for _, tt := range []struct {
		name, file, reason string
		want               msm.Config
		warning            string // is among them
	}{
		{"alone", m, "a fragment", msm.Config{}, "the Context has no path"},
		{"ROOT", `<Context path="">` + m + `</Context>`, "the empty path is a path", msm.Config{}, "the cookie is __Host-sid"},
		{"ROOT written otherwise", `<Context path="/">` + m + `</Context>`, "Tomcat makes it the empty one", msm.Config{}, ""},
		{"path without slash", `<Context path="app/">` + m + `</Context>`, "Tomcat mends it", msm.Config{Context: "/app"}, ""},
		{"in a Host", `<Host name="h">` + m + `</Host>`, "said by seed documents to have problems", msm.Config{Host: "h"}, "Tomcat wants it in the application's <Context>"},
		{"in an Engine", `<Engine jvmRoute="tc1">` + m + `</Engine>`, "likewise", msm.Config{Route: "tc1"}, "Tomcat wants it in the application's <Context>"},
		{"route from a property", `<Engine jvmRoute="${route}"><Host name="h"><Context path="/a">` + m + `</Context></Host></Engine>`,
			"one file for all instances", msm.Config{Host: "h", Context: "/a"}, "jvmRoute of <Engine> holds ${route}"},
		{"cookie name", `<Context path="" sessionCookieName="JSESSIONID">` + m + `</Context>`, "as before, but Secure",
			msm.Config{Cookie: msm.Cookie{Name: "JSESSIONID"}}, "the cookie JSESSIONID is for HTTPS only"},
		{"cookie path", `<Context path="" sessionCookiePath="/app">` + m + `</Context>`, "__Host- excludes it",
			msm.Config{Cookie: msm.Cookie{Name: "JSESSIONID", Path: "/app"}}, "the cookie JSESSIONID"},
		{"cookie path of msm", `<Context path="" sessionCookiePath="/">` + m + `</Context>`, "which __Host- wants",
			msm.Config{Cookie: msm.Cookie{Path: "/"}}, "the cookie is __Host-sid"},
		{"cookie domain", `<Context path="" sessionCookieDomain="example.com">` + m + `</Context>`, "__Host- excludes it",
			msm.Config{Cookie: msm.Cookie{Name: "JSESSIONID", Domain: "example.com"}}, ""},
		{"no cookies", `<Context path="" cookies="false">` + m + `</Context>`, "ids in URLs", msm.Config{}, `cookies="false": ids in URLs are not read`},
		{"trailing slash", `<Context path="" sessionCookiePathUsesTrailingSlash="true">` + m + `</Context>`, "", msm.Config{}, "sessionCookiePathUsesTrailingSlash"},
		{"same site", `<Context path="">` + m + `<CookieProcessor sameSiteCookies="None"/></Context>`, "it may stand behind",
			msm.Config{Cookie: msm.Cookie{SameSite: http.SameSiteNoneMode}}, ""},
		{"same site unset", `<Context path=""><CookieProcessor sameSiteCookies="unset"/>` + m + `</Context>`, "browsers then take Lax", msm.Config{}, ""},
		{"session time-out", `<Context path="" sessionTimeout="20">` + m + `</Context>`, "minutes", msm.Config{MaxInactiveInterval: 20 * time.Minute}, ""},
		{"endless sessions", `<Context path="" sessionTimeout="0">` + m + `</Context>`, "0 is never in Tomcat", msm.Config{MaxInactiveInterval: -1}, ""},
		{"id generator", `<Context path="">` + strings.Replace(m, "/>", `><SessionIdGenerator sessionIdLength="32"/></Manager>`, 1) + `</Context>`, "", msm.Config{}, "ids have 160 random bits"},
		{"no class", `<Context path="">` + strings.Replace(m, "className", "xmlns:x", 1) + `</Context>`, "the nodes say whose it is", msm.Config{}, "<Manager> has no className"},
		{"class with blanks", `<Context path="">` + strings.Replace(m, "Manager\" ", "Manager\n  \" ", 1) + `</Context>`, "seen in the wild", msm.Config{}, ""},
		{"byte order mark", "\ufeff<?xml version='1.0' encoding='UTF-8'?>" + m, "of a Windows editor", msm.Config{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := tomcat.ParseContext(strings.NewReader(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.MemcachedNodes = "n1:a:1,n2:b:2"
			if diff := cmp.Diff(tt.want, got, sameTranscoder); diff != "" {
				t.Errorf("Config differs (-want +got): %s\n%s", tt.reason, diff)
			}
			if all := strings.Join(warnings, "\n"); !strings.Contains(all, tt.warning) {
				t.Errorf("warnings are\n%s\nwant %q among them", all, tt.warning)
			}
			mustNew(t, got)
		})
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, _, err := tomcat.ParseContext(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}
