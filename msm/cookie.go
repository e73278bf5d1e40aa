package msm

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of the session cookie.
const (
	maxCandidates   = 4                    // cookies with our name that are looked at: a sibling domain can add any number
	maxCookieLen    = 4096                 // name and value: RFC 6265, 6.1, and what browsers keep
	maxCookieMaxAge = 400 * 24 * time.Hour // RFC 6265bis, 5.5; browsers cut what is longer
)

// Cookie says how the session cookie is named and sent. The zero value is
// "__Host-sid" with Secure, HttpOnly, SameSite=Lax and Path=/, without Domain
// and Max-Age. HttpOnly cannot be switched off.
type Cookie struct {
	// Name of the cookie: 1 to 3,936 characters of an HTTP token. "" means
	// "__Host-sid", or "sid" with Insecure. Names that start with __Host-,
	// __Secure-, __Http- or __Host-Http-, in any case, promise browsers the
	// attributes that New checks.
	Name string

	// Path the browser sends the cookie to, "" means "/", and Domain, whose
	// hosts all get it; "" means only the host that set it, which is safest.
	Path, Domain string

	// SameSite says whether requests from other sites carry the cookie. 0 and
	// http.SameSiteDefaultMode mean Lax: Strict would hide the session from
	// the request that returns from a login or payment page elsewhere.
	SameSite http.SameSite

	// MaxAge is how long the browser keeps the cookie: whole seconds, rounded
	// up, 400 days at most. 0 means until the browser closes. It bounds the
	// cookie only; sessions end by Config.MaxInactiveInterval and
	// Config.MaxLifetime.
	MaxAge time.Duration

	// Insecure leaves out the Secure attribute, so that the cookie travels
	// over plain HTTP, where everybody on the way can take it.
	Insecure bool
}

// withDefaults returns c as it is sent.
func (c Cookie) withDefaults() Cookie {
	if c.Name == "" {
		c.Name = "__Host-sid"
		if c.Insecure {
			c.Name = "sid"
		}
	}
	if c.Path == "" {
		c.Path = "/"
	}
	if c.SameSite == 0 || c.SameSite == http.SameSiteDefaultMode {
		c.SameSite = http.SameSiteLaxMode
	}
	return c
}

// check returns every reason why browsers would refuse the cookie or cut it.
// c has its defaults.
func (c Cookie) check() error {
	var problems []error
	report := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf("msm: Config.Cookie.%s: %s", field, fmt.Sprintf(format, args...)))
	}
	// One field at a time, so that each problem is told apart.
	if (&http.Cookie{Name: c.Name, Value: "x"}).Valid() != nil {
		report("Name", "%q is not a token: use letters, digits and - _ . only", c.Name)
	}
	if n := maxCookieLen - maxIDLen; len(c.Name) > n {
		report("Name", "has %d characters, and browsers drop a cookie of more than %d: use at most %d", len(c.Name), maxCookieLen, n)
	}
	if (&http.Cookie{Name: "x", Value: "x", Path: c.Path}).Valid() != nil || c.Path[0] != '/' {
		report("Path", "%q must start with / and hold no semicolon or control character", c.Path)
	}
	if c.Domain != "" && (&http.Cookie{Name: "x", Value: "x", Domain: c.Domain}).Valid() != nil {
		report("Domain", "%q is not a domain name: use one like example.com", c.Domain)
	}
	if c.MaxAge < 0 || c.MaxAge > maxCookieMaxAge {
		report("MaxAge", "is %v: use 0 (until the browser closes) to %v", c.MaxAge, maxCookieMaxAge)
	}
	if sameSiteAttr(c.SameSite) == "" {
		report("SameSite", "%d is unknown: use a constant of net/http", c.SameSite)
	}
	if c.SameSite == http.SameSiteNoneMode && c.Insecure {
		report("SameSite", "None is refused by browsers without Secure: leave Insecure false, or use Lax")
	}
	c.checkPrefix(report)
	return errors.Join(problems...)
}

// checkPrefix holds c against what its name promises: RFC 6265bis, 4.1.3, and
// the __Http- prefixes of the layered cookies draft. Browsers compare without
// regard to case.
func (c Cookie) checkPrefix(report func(field, format string, args ...any)) {
	name := strings.ToLower(c.Name)
	host := strings.HasPrefix(name, "__host-") // __host-http- among them
	if !host && !strings.HasPrefix(name, "__secure-") && !strings.HasPrefix(name, "__http-") {
		return
	}
	if c.Insecure {
		report("Insecure", "browsers refuse a cookie named %q without Secure: leave Insecure false, or choose a Name without prefix", c.Name)
	}
	if host && c.Domain != "" {
		report("Domain", "browsers refuse a cookie named %q with a Domain: leave it empty, or use a Name that starts with __Secure-", c.Name)
	}
	if host && c.Path != "/" {
		report("Path", "browsers refuse a cookie named %q with Path %q: use /, or a Name that starts with __Secure-", c.Name, c.Path)
	}
}

func sameSiteAttr(s http.SameSite) string {
	switch s {
	case http.SameSiteLaxMode:
		return "; SameSite=Lax"
	case http.SameSiteStrictMode:
		return "; SameSite=Strict"
	case http.SameSiteNoneMode:
		return "; SameSite=None"
	}
	return ""
}

// cookieWriter reads and writes one manager's cookie. It is safe for
// concurrent use.
type cookieWriter struct {
	// Immutable.
	prefix   string // name and =
	attrs    string // what follows the value of a live cookie
	deletion string // the whole cookie that deletes ours
	secure   bool

	plainHTTP sync.Once // guards the warning of warnPlain
}

// newCookieWriter checks c and fills its defaults. The error joins every
// problem found (errors.Join), each naming the field and the fix.
func newCookieWriter(c Cookie) (*cookieWriter, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	scope := "; Path=" + c.Path
	if c.Domain != "" {
		scope += "; Domain=" + strings.TrimPrefix(c.Domain, ".")
	}
	flags := "; HttpOnly"
	if !c.Insecure {
		flags += "; Secure"
	}
	flags += sameSiteAttr(c.SameSite)
	age := ""
	if c.MaxAge > 0 {
		seconds := (c.MaxAge + time.Second - 1) / time.Second
		age = "; Max-Age=" + strconv.FormatInt(int64(seconds), 10)
	}
	prefix := c.Name + "="
	return &cookieWriter{
		prefix:   prefix,
		attrs:    scope + age + flags,
		deletion: prefix + scope + "; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0" + flags,
		secure:   !c.Insecure,
	}, nil
}

// candidates appends to dst the well-formed ids among the first four cookies
// of the request that have exactly our name. A quoted value is not well-formed.
// With room for four in dst it costs no allocation, which is why it does not
// use Request.Cookies.
func (cw *cookieWriter) candidates(r *http.Request, dst []sessionID) []sessionID {
	examined := 0
	for _, line := range r.Header["Cookie"] {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			value, ours := strings.CutPrefix(strings.TrimLeft(pair, " \t"), cw.prefix)
			if !ours {
				continue
			}
			if examined++; examined > maxCandidates {
				return dst
			}
			if id, ok := parseID(value); ok {
				dst = append(dst, id)
			}
		}
	}
	return dst
}

// set makes h carry exactly one cookie of ours, with this value, and forbids
// caches to store the response.
func (cw *cookieWriter) set(h http.Header, value string) {
	cw.replace(h, cw.prefix+value+cw.attrs)
}

// remove makes h carry exactly one cookie of ours, one that deletes it in the
// browser, and forbids caches to store the response.
func (cw *cookieWriter) remove(h http.Header) {
	cw.replace(h, cw.deletion)
}

// replace keeps every other cookie of the response, in its place.
func (cw *cookieWriter) replace(h http.Header, cookie string) {
	old := h["Set-Cookie"]
	// A new slice: the old one may be shared with a copy of the header.
	kept := make([]string, 0, len(old)+1)
	for _, line := range old {
		if !strings.HasPrefix(line, cw.prefix) {
			kept = append(kept, line)
		}
	}
	h["Set-Cookie"] = append(kept, cookie)
	forbidCaching(h)
}

// warnPlain logs, once in cw's life, that a Secure cookie answers a request
// that did not come over TLS. With TLS ended by a proxy that is as it should
// be, so the cookie is sent all the same. A nil logger is silent.
func (cw *cookieWriter) warnPlain(log *slog.Logger, r *http.Request) {
	if log == nil || !cw.secure || r.TLS != nil {
		return
	}
	cw.plainHTTP.Do(func() {
		log.Warn("msm: a Secure session cookie answered a request without TLS; where no proxy in front adds TLS, browsers drop the cookie and every request starts a new session: serve TLS, or set Config.Cookie.Insecure")
	})
}
