package msm

import (
	"regexp/syntax"
	"strings"
)

// findJavaSyntax returns the first construct of java.util.regex in expr that
// Go's regexp lacks, and where it stands; "" if there is none. Go refuses most
// of them by itself, with a message that does not say why; the others it reads
// as something else: \12, \0101, \v, [a-z&&[^b]] and [a-d[m-p]].
func findJavaSyntax(expr string) (what string, at int) {
	inClass, repeated := false, false // repeated: a quantifier stands before
	for i := 0; i < len(expr); {
		rest, size, quantifier := expr[i:], 1, false
		switch {
		case strings.HasPrefix(rest, `\Q`):
			size = quotedLen(rest)
		case rest[0] == '\\':
			what, size = javaEscape(rest)
		case inClass:
			what, size = javaInClass(rest)
			inClass = rest[0] != ']'
		case rest[0] == '[':
			inClass, size = true, openingLen(rest)
		case rest[0] == '(':
			what, size = javaGroup(rest)
		case rest[0] == '+' && repeated:
			what = "possessive quantifier"
		case strings.IndexByte("*+?{", rest[0]) >= 0:
			size = quantifierLen(rest)
			quantifier = size > 0 && !repeated
			size = max(size, 1)
		}
		if what != "" {
			return what, i
		}
		i, repeated = i+size, quantifier
	}
	return "", 0
}

// quotedLen is the length of \Q...\E, or of everything if \E is missing.
func quotedLen(rest string) int {
	if end := strings.Index(rest, `\E`); end >= 0 {
		return end + len(`\E`)
	}
	return len(rest)
}

// openingLen is the length of a class's [ with what cannot end it: [^]
func openingLen(rest string) int {
	n := 1
	if strings.HasPrefix(rest[n:], "^") {
		n++
	}
	if strings.HasPrefix(rest[n:], "]") {
		n++
	}
	return n
}

func javaInClass(rest string) (what string, size int) {
	switch {
	case strings.HasPrefix(rest, "&&"):
		return "class intersection [..&&..]", 0
	case strings.HasPrefix(rest, "[:"): // [:alpha:], which is Go's
		return "", 2
	case rest[0] == '[':
		return "class within a class (a literal [ is \\[)", 0
	}
	return "", 1
}

func javaGroup(rest string) (what string, size int) {
	inner, special := strings.CutPrefix(rest, "(?")
	if !special {
		return "", 1
	}
	switch {
	case strings.HasPrefix(inner, "="), strings.HasPrefix(inner, "!"):
		return "lookahead " + rest[:3], 0
	case strings.HasPrefix(inner, "<="), strings.HasPrefix(inner, "<!"):
		return "lookbehind " + rest[:4], 0
	case strings.HasPrefix(inner, ">"):
		return "atomic group (?>", 0
	}
	// Flags of Java alone: UNIX_LINES, UNICODE_CASE, COMMENTS, and
	// UNICODE_CHARACTER_CLASS, whose letter means another thing in Go.
	if end := strings.IndexAny(inner, ":)<"); end >= 0 && strings.ContainsAny(inner[:end], "duxU") && inner[end] != '<' {
		return "flag in (?" + inner[:end+1], 0
	}
	return "", len("(?")
}

// quantifierLen is the length of the *, +, ?, {n}, {n,} or {n,m} that rest
// starts with; 0 for a { that stands for itself.
func quantifierLen(rest string) int {
	if rest[0] != '{' {
		return 1
	}
	n := 1
	for n < len(rest) && (isDigit(rest[n]) || rest[n] == ',' && n > 1) {
		n++
	}
	if n == 1 || n == len(rest) || rest[n] != '}' {
		return 0
	}
	return n + 1
}

func javaEscape(rest string) (what string, size int) {
	if len(rest) < 2 {
		return "", 1 // Go's error says what is wrong
	}
	size = 2
	if strings.HasPrefix(rest[size:], "{") && strings.IndexByte("pPx", rest[1]) >= 0 {
		size += strings.IndexByte(rest[size:], '}') + 1
	}
	switch rest[1] {
	case '1', '2', '3', '4', '5', '6', '7', '8', '9', 'k':
		what = "backreference " + rest[:2]
	case '0', 'u', 'h', 'H', 'v', 'V', 'R', 'X', 'G', 'Z', 'e', 'c', 'N':
		what = "escape " + rest[:2]
	case 'p', 'P':
		if _, err := syntax.Parse(rest[:size], syntax.Perl); err != nil && size > 2 {
			what = "character class " + rest[:size]
		}
	}
	return what, size
}
