package proto

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
)

// maxLine bounds what is kept of a server's words.
const maxLine = 256

// cutLine returns the first line of buf without its end and without trailing
// blanks, which servers up to 1.6.12 leave, and the bytes that it takes up:
// 0 while it is incomplete.
func cutLine(buf []byte) (line []byte, n int, err error) {
	i := bytes.IndexByte(buf[:min(len(buf), MaxHead)], '\n')
	if i < 0 {
		if len(buf) >= MaxHead {
			return nil, 0, fmt.Errorf("%w: a line of more than %d bytes", ErrProtocol, MaxHead)
		}
		return nil, 0, nil
	}
	if i == 0 || buf[i-1] != '\r' {
		return nil, 0, fmt.Errorf("%w: a line that does not end in CR LF", ErrProtocol)
	}
	line = buf[:i-1]
	for len(line) > 0 && line[len(line)-1] == ' ' {
		line = line[:len(line)-1]
	}
	return line, i + 1, nil
}

// cutTail returns the length of the end of a value in front of buf: 0 while it
// is incomplete.
func cutTail(buf []byte) (n int, err error) {
	if len(buf) < 2 {
		return 0, nil
	}
	if buf[0] != '\r' || buf[1] != '\n' {
		return 0, fmt.Errorf("%w: a value that is longer than announced", ErrProtocol)
	}
	return 2, nil
}

// number reads the decimal number in front of b. It is not ok where there is
// none, or one of more than 64 bits.
func number(b []byte) (v uint64, rest []byte, ok bool) {
	const safe = 19 // digits that cannot be too many
	i := 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		d := uint64(b[i] - '0')
		if i >= safe && (v > math.MaxUint64/10 || v*10 > math.MaxUint64-d) {
			return 0, b, false
		}
		v = v*10 + d
	}
	return v, b[i:], i > 0
}

// field reads a number that a blank or the end of the line follows, and the
// blanks.
func field(b []byte) (v uint64, rest []byte, ok bool) {
	v, rest, ok = number(b)
	if !ok || len(rest) > 0 && rest[0] != ' ' {
		return 0, b, false
	}
	return v, skipBlanks(rest), true
}

func skipBlanks(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// unexpected is the error of a reply that cannot be one to req. It quotes
// nothing of the reply, which may be another caller's value.
func unexpected(req *Request) error {
	return fmt.Errorf("%w: not a reply to %s", ErrProtocol, req.Op)
}

// refusal reads an error line (protocol.txt, "Error strings"). Only those that
// are known to leave the stream in step become a Status.
//
// Most CLIENT_ERRORs answer a request that we should not have sent, and whose
// value some servers go on to read as commands. The sections of stats are the
// user's, have no value, and may be unknown to the server.
func refusal(line []byte, req *Request, rep *Reply) error {
	switch {
	case hasWord(line, "SERVER_ERROR"):
		rep.Status = StatusServerError
		if req.HasValue() && bytes.HasPrefix(line, []byte("SERVER_ERROR object too large")) {
			rep.Status = StatusTooLarge
		}
	case isAuthLine(line):
		rep.Status = StatusAuth
	case isNumberLine(line) && (req.Op == OpIncrement || req.Op == OpDecrement):
		rep.Status = StatusNotNumber
	case bytes.HasPrefix(line, []byte("ERROR Too many open connections")):
		return fmt.Errorf("%w: the server has too many open connections", ErrProtocol)
	case req.Op == OpStats && (hasWord(line, "ERROR") || hasWord(line, "CLIENT_ERROR")):
		rep.Status = StatusServerError
	case hasWord(line, "ERROR") || hasWord(line, "CLIENT_ERROR"):
		return fmt.Errorf("%w: the server did not understand %s", ErrProtocol, req.Op)
	default:
		return unexpected(req)
	}
	if rep.Line == "" || rep.Status == StatusAuth { // else another key was refused before
		word, rest, _ := bytes.Cut(line, []byte(" "))
		rep.Line = words(string(word)+" ", rest, req)
	}
	return nil
}

// words is what a server said behind the word that begins it. Servers may quote
// the request: keys and passwords are not for error texts and logs.
func words(word string, said []byte, req *Request) string {
	said = conceal(said, req.Key, "<key>")
	for _, key := range req.Keys {
		said = conceal(said, key, "<key>")
	}
	if req.Op == OpAuth {
		said = conceal(said, string(req.Value), "<password>")
	}
	text := strings.TrimRight(word+string(said), " ")
	return text[:min(len(text), maxLine)]
}

// conceal puts mark in the place of every secret in text. One that is part of a
// longer word is there by chance, as the letter a is.
func conceal(text []byte, secret, mark string) []byte {
	for from := 0; secret != ""; {
		i := bytes.Index(text[from:], []byte(secret))
		if i < 0 {
			break
		}
		i += from
		end := i + len(secret)
		if i > 0 && isWord(text[i-1]) || end < len(text) && isWord(text[end]) {
			from = i + 1
			continue
		}
		text = slices.Concat(text[:i], []byte(mark), text[end:])
		from = i + len(mark)
	}
	return text
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// hasWord tells whether line begins with word. Some servers put a colon behind
// it ("ERROR: shutdown not enabled").
func hasWord(line []byte, word string) bool {
	return len(line) >= len(word) && string(line[:len(word)]) == word &&
		(len(line) == len(word) || line[len(word)] == ' ' || line[len(word)] == ':')
}

func isAuthLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("CLIENT_ERROR unauthenticated")) ||
		bytes.HasPrefix(line, []byte("CLIENT_ERROR authentication failure")) ||
		bytes.HasPrefix(line, []byte("CLIENT_ERROR bad authentication token"))
}

func isNumberLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("CLIENT_ERROR cannot increment or decrement")) ||
		bytes.HasPrefix(line, []byte("CLIENT_ERROR invalid numeric delta"))
}
