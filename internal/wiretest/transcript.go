// Package wiretest plays recorded protocol conversations against a server. What
// that says is written down once, in testdata, and holds for memcached and for
// every imitation of it.
//
// A transcript is a text file, line by line:
//
//	# a comment; blank lines are skipped too
//	> set k 0 0 1           the client sends this and a line end (CR LF)
//	< STORED                the server sends this and a line end
//	>> get k                the same without the line end
//	<< VALUE
//	>x 80 0a 00 00 ...      bytes in hexadecimal; blanks between them are skipped
//	<x 81 0a 00 00 ...
//	<eof                    the server closes the connection
//
// In text lines \r, \n, \t, \\ and \x00 are escapes, and {x250} behind a
// character repeats it. Some of what a server says differs from run to run:
//
//	{n:name}                a decimal number; in hexadecimal lines 8 bytes of one
//	{w:name}                a word: bytes up to a blank or a line end
//
// The first time a name is seen it takes the value at hand, afterwards the value
// must be the same, and the client may send it back. Without a name ({n:}, {w:})
// any value will do.
package wiretest

import (
	"bufio"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

//go:embed testdata/*.txt
var files embed.FS

// Transcript is one conversation.
type Transcript struct {
	Name  string
	lines []line
}

// line is what one side sends at once.
type line struct {
	number int    // in the file
	text   string // as it stands there
	client bool   // the client sends it
	eof    bool
	hex    bool
	parts  []part
}

// part is literal bytes or a placeholder.
type part struct {
	literal []byte
	kind    byte // 'n', 'w', or 0 for a literal
	name    string
}

// All returns the transcripts of testdata by their file names.
func All() ([]*Transcript, error) {
	entries, err := files.ReadDir("testdata")
	if err != nil {
		return nil, err
	}
	var all []*Transcript
	for _, e := range entries {
		f, err := files.Open(path.Join("testdata", e.Name()))
		if err != nil {
			return nil, err
		}
		t, err := Parse(strings.TrimSuffix(e.Name(), ".txt"), f)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// Parse reads a transcript; errors name the line.
func Parse(name string, r io.Reader) (*Transcript, error) {
	t := &Transcript{Name: name}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		text := sc.Text()
		if text == "" || text[0] == '#' {
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		l.number = n
		t.lines = append(t.lines, l)
	}
	return t, sc.Err()
}

func parseLine(text string) (l line, err error) {
	l = line{text: text, client: text[0] == '>'}
	mark, rest, _ := strings.Cut(text, " ")
	switch mark {
	case "<eof":
		l.eof = true
		return l, nil
	case ">x", "<x":
		l.hex = true
		l.parts, err = split(rest, func(s string) ([]byte, error) { return hex.DecodeString(strings.ReplaceAll(s, " ", "")) })
	case ">>", "<<":
		l.parts, err = split(rest, unescape)
	case ">", "<":
		l.parts, err = split(rest+`\r\n`, unescape)
	default:
		err = errors.New(`a line begins with ">", "<", ">>", "<<", ">x", "<x", "<eof" or "#"`)
	}
	return l, err
}

// split cuts a line at its placeholders.
func split(s string, decode func(string) ([]byte, error)) (parts []part, err error) {
	for s != "" {
		at := placeholder.FindStringSubmatchIndex(s)
		text := s
		if at != nil {
			text = s[:at[0]]
		}
		b, err := decode(text)
		if err != nil {
			return nil, err
		}
		if len(b) > 0 {
			parts = append(parts, part{literal: b})
		}
		if at == nil {
			break
		}
		parts = append(parts, part{kind: s[at[2]], name: s[at[4]:at[5]]})
		s = s[at[1]:]
	}
	return parts, nil
}

var (
	placeholder = regexp.MustCompile(`\{([nw]):(\w*)\}`)
	repetition  = regexp.MustCompile(`^\{x(\d+)\}`)
)

// unescape resolves backslashes and repetitions.
func unescape(s string) ([]byte, error) {
	var out []byte
	for s != "" {
		if m := repetition.FindStringSubmatch(s); m != nil && len(out) > 0 {
			n, err := strconv.Atoi(m[1])
			if err != nil || n < 1 {
				return nil, fmt.Errorf("repetition %q", m[0])
			}
			last := string(out[len(out)-1:])
			out, s = append(out, strings.Repeat(last, n-1)...), s[len(m[0]):]
			continue
		}
		if s[0] != '\\' {
			out, s = append(out, s[0]), s[1:]
			continue
		}
		c, _, rest, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			return nil, fmt.Errorf("escape in %q", s)
		}
		out, s = append(out, byte(c)), rest
	}
	return out, nil
}
