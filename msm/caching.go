package msm

import (
	"net/http"
	"strings"
)

// forbidCaching merges no-store into Cache-Control: a stored response would
// hand its Set-Cookie, and so the session, to others. It drops what would
// weaken no-store: public and s-maxage, and must-understand, which makes
// caches that know the status ignore no-store (RFC 9111, 5.2.2.3).
func forbidCaching(h http.Header) {
	const name = "Cache-Control"
	var kept strings.Builder
	for _, line := range h[name] {
		for line != "" {
			var directive string
			directive, line = cutDirective(line)
			key, _, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "", "public", "s-maxage", "must-understand", "no-store":
				continue
			}
			kept.WriteString(directive)
			kept.WriteString(", ")
		}
	}
	kept.WriteString("no-store")
	h[name] = []string{kept.String()}
}

// cutDirective splits at the first comma outside a quoted string: no-cache and
// private take lists of header names in quotes. A string that never ends would
// swallow what caches still read in it: it is dropped.
func cutDirective(s string) (directive, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == ',' && !quoted:
			return strings.TrimSpace(s[:i]), s[i+1:]
		}
	}
	if quoted {
		return "", ""
	}
	return strings.TrimSpace(s), ""
}

// varyCookie adds Cookie to the Vary header: for responses whose handler has
// used the session. Others stay cacheable for everybody.
func varyCookie(h http.Header) {
	const name = "Vary"
	for _, line := range h[name] {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, "Cookie") {
				return
			}
		}
	}
	h.Add(name, "Cookie")
}
