package msm

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// REQ-01: what matches in full.
func TestPatternMatchesRequests(t *testing.T) {
	for _, tc := range []struct {
		name, reason, expr, method, target string
		want                               bool
	}{
		{"suffix", "the usual pattern", `.*\.(ico|png|gif|jpg|css|js)$`, "GET", "/a/b.png", true},
		{"suffix in POST", "as in MSM", `.*\.(png|gif)$`, "POST", "/a/b.png", true},
		{"suffix with query", "the path alone matches: what the documentation promises", `.*\.(png|gif)$`, "GET", "/a/b.png?v=1", true},
		{"query that looks like a suffix", "path?query is matched too", `.*\.(png|gif)$`, "GET", "/a?x=b.png", true},
		{"anchored at the slash", "never matched in MSM, whose string starts with the method", `/static/.*`, "GET", "/static/x", true},
		{"search is not enough", "a full match", `/static`, "GET", "/static/x", false},
		{"prefix is not enough", "a full match", `static/x`, "GET", "/static/x", false},
		{"alternatives", "all of them are anchored", `/a|/b`, "GET", "/ab", false},
		{"shorter alternative first", "the longer one must be found", `/a|/ab`, "GET", "/ab", true},
		{"lazy", "still a full match", `/a.*?`, "GET", "/abc", true},
		{"method", "what MSM's code does", `GET /a\.png`, "GET", "/a.png", true},
		{"other method", "likewise", `GET /a\.png`, "HEAD", "/a.png", false},
		{"method and query", "likewise", `GET /a\?x=1`, "GET", "/a?x=1", true},
		{"method without query", "the query is there in MSM", `GET /a`, "GET", "/a?x=1", false},
		{"POST without query", "and not there with POST", `POST /a`, "POST", "/a?x=1", true},
		{"POST with query", "as documented here", `POST /a\?x=1`, "POST", "/a?x=1", true},
		{"path and query", "what MSM documents for uriPattern", `/a\?x=1`, "GET", "/a?x=1", true},
		{"path parameters", "stay in the path", `.*\.png`, "GET", "/b.png;jsessionid=1", false},
		{"escaped path", "as it was sent, as in Java", `/a%2Fb`, "GET", "/a%2Fb", true},
		{"not decoded", "likewise", `/a/b`, "GET", "/a%2Fb", false},
		{"flags", "of Go and Java", `(?i)/STATIC/.*`, "GET", "/static/x", true},
		{"own anchors", "do no harm", `^/a$`, "GET", "/a", true},
		{"open quote", "ends with the expression", `/a\Q(`, "GET", "/a(", true},
		{"quote", "the same in Java", `\Q/a.b\E.*`, "GET", "/a.bc", true},
		{"group named as in Java", "Go knows it", `/(?<dir>[a-z]+)/.*`, "GET", "/img/x", true},
		{"unbalanced in the middle", "cannot break out of the anchors", `/a\)|(/b`, "GET", "/b", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := compilePattern("RequestURIIgnorePattern", tc.expr)
			if err != nil {
				if tc.name == "unbalanced in the middle" {
					return
				}
				t.Fatal(err)
			}
			r := httptest.NewRequest(tc.method, tc.target, nil)
			if got := p.matchRequest(r); got != tc.want {
				t.Errorf("%s matches %s %s: %v, want %v: %s", tc.expr, tc.method, tc.target, got, tc.want, tc.reason)
			}
		})
	}
}

func TestPatternMatchesNames(t *testing.T) {
	p, err := compilePattern("SessionAttributeFilter", `user|cart\..*`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"user": true, "cart.items": true, "users": false, "superuser": false, "cart": false, "": false} {
		if got := p.matchName(name); got != want {
			t.Errorf("matchName(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestEmptyPatternIsNone(t *testing.T) {
	p, err := compilePattern("RequestURIIgnorePattern", "")
	if p != nil || err != nil {
		t.Fatalf("compilePattern of nothing = %v, %v; want nil, nil", p, err)
	}
	if p.matchRequest(httptest.NewRequest("GET", "/", nil)) || p.matchName("") {
		t.Error("a nil pattern matched")
	}
}

func TestPatternErrors(t *testing.T) {
	for _, tc := range []struct{ name, expr, want string }{
		{"possessive star", `.*+\.png`, "possessive quantifier at byte 2"},
		{"possessive plus", `.++`, "possessive quantifier at byte 2"},
		{"possessive question mark", `a?+`, "possessive quantifier at byte 2"},
		{"possessive count", `a{2,3}+`, "possessive quantifier at byte 6"},
		{"possessive class", `\p{L}{2}+`, "possessive quantifier at byte 8"},
		{"lookahead", `/(?!static).*`, "lookahead (?! at byte 1"},
		{"positive lookahead", `/(?=static).*`, "lookahead (?= at byte 1"},
		{"lookbehind", `.*(?<!\.png)`, "lookbehind (?<! at byte 2"},
		{"positive lookbehind", `.*(?<=\.png)`, "lookbehind (?<= at byte 2"},
		{"atomic group", `(?>a|b)`, "atomic group (?> at byte 0"},
		{"backreference", `(a)\1`, `backreference \1 at byte 3`},
		{"backreference that Go reads as octal", `(a)\12`, `backreference \1 at byte 3`},
		{"named backreference", `(?<x>a)\k<x>`, `backreference \k at byte 7`},
		{"java class", `\p{javaLowerCase}+`, `character class \p{javaLowerCase} at byte 0`},
		{"POSIX class of Java", `a\P{Lower}`, `character class \P{Lower} at byte 1`},
		{"script of Java", `\p{IsGreek}`, `character class \p{IsGreek} at byte 0`},
		{"intersection", `[a-z&&[^b]]`, "class intersection [..&&..] at byte 4"},
		{"union", `[a-d[m-p]]`, "class within a class"},
		{"octal", `\0101`, `escape \0 at byte 0`},
		{"unicode", `\u0041`, `escape \u at byte 0`},
		{"vertical space", `\v`, `escape \v at byte 0`},
		{"end but for a newline", `a\Z`, `escape \Z at byte 1`},
		{"in a class", `[\h]`, `escape \h at byte 1`},
		{"comments flag", `(?x)a b`, "flag in (?x) at byte 0"},
		{"flag of a group", `(?iu:a)`, "flag in (?iu: at byte 0"},
		{"unicode flag", `(?U)a`, "flag in (?U) at byte 0"},
		{"not Java either", `a(`, "missing closing )"},
		{"lone backslash", `a\`, "trailing backslash"},
		{"repeated count", `a**`, "invalid nested repetition"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := compilePattern("LockingMode", tc.expr)
			if err == nil || !strings.HasPrefix(err.Error(), "msm: Config.LockingMode: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("compilePattern(%q) = %v, want an error of LockingMode that says %q", tc.expr, err, tc.want)
			}
		})
	}
}

// What looks like Java and is Go as well is taken.
func TestPatternsOfBothLanguages(t *testing.T) {
	for _, expr := range []string{
		`a+?b*?c??`, `\++`, `\*+`, `[*+]+`, `[+]+`, `a{2}b+`, `[^]]+`, `[]]+`, `[[:alpha:]]+`, `[[:^digit:]_]+`,
		`\Q(?=a)\E+`, `\p{L}+\P{Lu}`, `\pL+`, `\p{Greek}`, `(?i:a)`, `(?<n>a)+`, `(?P<xu>a)`, `(?:a)+`, `(?s-m:.)`, `\x{41}\x41`, `\d\D\w\W\s\S\b\B\A`,
		`[&]&&[&]`, `\[a\[b\]`, `[\[a]`, `a|b|`, `()`, `[a\]b]+`, `a}+`, `{+`, `a{,2}+`, `a{2,}?`,
	} {
		if _, err := compilePattern("X", expr); err != nil {
			t.Errorf("compilePattern(%q) = %v, want nil", expr, err)
		}
	}
}

// FuzzPattern: whatever compiles matches in full exactly as the expression
// itself does when Go is asked for the longest match.
func FuzzPattern(f *testing.F) {
	for _, expr := range []string{`.*\.(png|gif)$`, `(?i)a|b`, `a\Q(`, `^a$`, `[^a]b*?`, `(?s).`, `a{2,}`, `\b\d`, `(?m)^a$`} {
		f.Add(expr, "/a.png")
		f.Add(expr, "a\nb(")
	}
	f.Fuzz(func(t *testing.T, expr, name string) {
		p, err := compilePattern("X", expr)
		if err != nil || p == nil {
			return
		}
		longest, err := regexp.Compile(expr)
		if err != nil {
			t.Fatalf("%q was taken, and is none of Go's: %v", expr, err)
		}
		longest.Longest()
		at := longest.FindStringIndex(name)
		want := at != nil && at[0] == 0 && at[1] == len(name)
		if got := p.matchName(name); got != want {
			t.Errorf("%q matches %q: %v, want %v", expr, name, got, want)
		}
	})
}
