package tomcat

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// tomcatAttributes are those that every session manager of Tomcat 6 to 9 has,
// and why they are passed over; "" for those that are read.
var tomcatAttributes = map[string]string{
	"maxInactiveInterval":        "",
	"maxActiveSessions":          "",
	"sessionAttributeNameFilter": "",

	"algorithm":             "ids come from crypto/rand",
	"entropy":               "ids come from crypto/rand",
	"randomClass":           "ids come from crypto/rand",
	"secureRandomAlgorithm": "ids come from crypto/rand",
	"secureRandomClass":     "ids come from crypto/rand",
	"secureRandomProvider":  "ids come from crypto/rand",
	"sessionIdLength":       "ids have 160 random bits",

	"distributable":           "every value is encoded when it is set",
	"persistAuthentication":   "who is logged in is an attribute like any other",
	"processExpiresFrequency": "sessions expire without it",

	"notifyAttributeListenerOnUnchangedValue": "there are no listeners",
	"notifyBindingListenerOnUnchangedValue":   "there are no listeners",

	"sessionAttributeValueClassNameFilter": "types come from the program, never from what is stored",
	"warnOnSessionAttributeFilterFailure":  "types come from the program, never from what is stored",
}

// tomcatsOwn reads what the Manager has of Tomcat.
func (t *translation) tomcatsOwn() {
	for _, name := range slices.Sorted(maps.Keys(tomcatAttributes)) {
		if _, ok := t.values[name]; ok && tomcatAttributes[name] != "" {
			t.warn("%s has no counterpart: %s", name, tomcatAttributes[name])
		}
	}
	if t.number("maxActiveSessions", -1, -1) >= 0 {
		t.warn("%s: the number of sessions is not limited here", t.shown("maxActiveSessions"))
	}
	if _, ok := t.values["sessionAttributeNameFilter"]; ok {
		t.problem("sessionAttributeNameFilter is not read: write it as sessionAttributeFilter")
	}
	t.maxInactive(t.manager, "maxInactiveInterval", time.Second)
}

// maxInactive reads the time-out of sessions: 0 and less is never.
func (t *translation) maxInactive(e *element, name string, unit time.Duration) {
	value, ok := e.attr(name)
	if !ok || findProperty(value) != "" {
		return
	}
	n, err := parseInt(value)
	switch {
	case err != nil:
		t.problem("%s=%s of <%s> %v", name, quote(value), e.name, err)
	case n <= 0:
		t.cfg.MaxInactiveInterval = forever
	default:
		t.cfg.MaxInactiveInterval = time.Duration(n) * unit
	}
}

// surroundings reads what stands around the Manager.
func (t *translation) surroundings() {
	context, host, engine := t.manager.within("Context"), t.manager.within("Host"), t.manager.within("Engine")
	if parent := t.manager.parent; parent != nil && parent != context {
		t.warn("%v: Tomcat wants it in the application's <Context>", t.manager)
	}
	t.context(context)
	t.cookie(context)
	if host != nil {
		t.cfg.Host = t.outside(host, "name", "Host")
	}
	if engine != nil {
		t.cfg.Route = t.outside(engine, "jvmRoute", "Route")
	}
	if t.cfg.Route == "" && !t.cfg.NonSticky {
		t.warn("there is no jvmRoute: set Config.Route to the name of each instance, as balancers have it")
	}
}

// outside returns an attribute of an element around the Manager; what Tomcat
// takes from elsewhere is left to the program.
func (t *translation) outside(e *element, name, field string) string {
	value, _ := e.attr(name)
	if property := findProperty(value); property != "" {
		t.warn("%s of <%s> holds %s, which Tomcat takes from its system properties: set Config.%s", name, e.name, quoteName(property), field)
		return ""
	}
	return value
}

// context reads which application it is. Its name has the version in it, as in
// Tomcat.
func (t *translation) context(c *element) {
	if c == nil {
		c = &element{name: "Context"}
	}
	path := strings.TrimRight(t.outside(c, "path", "Context"), "/")
	if path != "" && path[0] != '/' {
		path = "/" + path
	}
	t.cfg.Context = path
	t.cfg.Version = t.outside(c, "webappVersion", "Version")
	if t.cfg.Version != "" {
		t.cfg.Context += "##" + t.cfg.Version
	}
	if _, ok := c.attr("path"); !ok {
		t.warn("the Context has no path, so Config.Context is empty: set it if other applications use the same nodes")
	}
	if _, ok := t.values["maxInactiveInterval"]; !ok {
		t.maxInactive(c, "sessionTimeout", time.Minute)
	}
}

// cookie reads how the cookie is named and sent. Tomcat decides on Secure by
// the request; here it is Secure unless the program says otherwise.
func (t *translation) cookie(c *element) {
	if c == nil {
		c = &element{name: "Context"}
	}
	cookie := &t.cfg.Cookie
	cookie.Name = t.outside(c, "sessionCookieName", "Cookie.Name")
	cookie.Path = t.outside(c, "sessionCookiePath", "Cookie.Path")
	cookie.Domain = t.outside(c, "sessionCookieDomain", "Cookie.Domain")
	if cookie.Name == "" && (cookie.Path != "" && cookie.Path != "/" || cookie.Domain != "") {
		cookie.Name = "JSESSIONID" // msm's own name promises browsers another path and no domain
	}
	if cookie.Name == "" {
		t.warn("the cookie is __Host-sid, with Path=/ and for HTTPS only: balancers that look for JSESSIONID, several applications on one host, and plain HTTP need Config.Cookie")
	} else {
		t.warn("the cookie %s is for HTTPS only, where Tomcat sends it over plain HTTP too: that needs Config.Cookie.Insecure", cookie.Name)
	}
	for _, unread := range []struct{ name, value, why string }{
		{"useHttpOnly", "false", "the cookie is HttpOnly always"},
		{"cookies", "false", "ids in URLs are not read, there is always a cookie"},
		{"sessionCookiePathUsesTrailingSlash", "true", "set Config.Cookie.Path"},
		{"usePartitioned", "true", "the cookie cannot be Partitioned"},
	} {
		if value, ok := c.attr(unread.name); ok && strings.EqualFold(value, unread.value) {
			t.warn("%s=%s: %s", unread.name, quote(value), unread.why)
		}
	}
	for _, processor := range c.inner {
		t.sameSite(processor)
	}
}

// sameSite reads <CookieProcessor>.
func (t *translation) sameSite(processor *element) {
	value := t.outside(processor, "sameSiteCookies", "Cookie.SameSite")
	switch strings.ToLower(value) {
	case "", "unset":
	case "lax":
		t.cfg.Cookie.SameSite = http.SameSiteLaxMode
	case "strict":
		t.cfg.Cookie.SameSite = http.SameSiteStrictMode
	case "none":
		t.cfg.Cookie.SameSite = http.SameSiteNoneMode
	default:
		t.problem("sameSiteCookies=%s of <CookieProcessor> is unknown: write unset, lax, strict or none", quote(value))
	}
}
