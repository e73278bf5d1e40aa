package msm

import (
	"fmt"
	"net/http"
	"regexp"
	"regexp/syntax"
)

// pattern is a regular expression that must match in full, as Java's
// Matcher.matches. A nil pattern matches nothing.
type pattern struct {
	re *regexp.Regexp
}

// compilePattern compiles the regular expression of a Config field; the empty
// one gives nil. Java syntax that Go's regexp lacks is refused, that which it
// would read as something else included.
func compilePattern(field, expr string) (*pattern, error) {
	if expr == "" {
		return nil, nil
	}
	if what, at := findJavaSyntax(expr); what != "" {
		return nil, fmt.Errorf("msm: Config.%s: %s at byte %d is Java syntax that Go's regexp does not have: "+
			"rewrite it (https://go.dev/s/re2syntax)", field, what, at)
	}
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("msm: Config.%s: %w", field, err)
	}
	// Anchored in the tree, not the text: an expression may end inside \Q.
	full := &syntax.Regexp{Op: syntax.OpConcat, Flags: syntax.Perl, Sub: []*syntax.Regexp{
		{Op: syntax.OpBeginText}, parsed, {Op: syntax.OpEndText},
	}}
	re, err := regexp.Compile(full.String())
	if err != nil {
		return nil, fmt.Errorf("msm: Config.%s: %w", field, err)
	}
	return &pattern{re}, nil
}

// matchRequest tells whether the path, "path?query" or "METHOD path?query" of
// the request matches: MSM documents the second and matches the third, and
// people anchor at the suffix of the first. The path is as it was sent, not
// decoded. With POST, "METHOD path" matches too: there MSM leaves out the
// query.
func (p *pattern) matchRequest(r *http.Request) bool {
	if p == nil {
		return false
	}
	path := r.URL.EscapedPath()
	if p.re.MatchString(path) {
		return true
	}
	line := r.Method + " " + path
	if r.URL.RawQuery == "" {
		return p.re.MatchString(line)
	}
	if r.Method == http.MethodPost && p.re.MatchString(line) {
		return true
	}
	line += "?" + r.URL.RawQuery
	return p.re.MatchString(line[len(r.Method)+1:]) || p.re.MatchString(line)
}

// matchName tells whether an attribute's name matches.
func (p *pattern) matchName(name string) bool {
	return p != nil && p.re.MatchString(name)
}
