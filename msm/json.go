package msm

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// JSON is the default transcoder: encoding/json, and stricter when it reads.
// It refuses invalid UTF-8, a key that stands twice in one object, and more
// than 64 nested objects and arrays. Numbers out of the target's range and
// bytes after the value are errors as well. Fields that the target does not
// have are ignored, so that an older release of an application can read what a
// newer one has written. In strings, bytes that are not UTF-8 become U+FFFD, as
// encoding/json has it: such bytes belong into a []byte.
var JSON Transcoder = jsonTranscoder{}

type jsonTranscoder struct{}

func (jsonTranscoder) Encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	// A value that Decode would refuse had better not be stored: one nested
	// too deeply, or what a MarshalJSON has written.
	return data, checkJSON(data)
}

func (jsonTranscoder) Decode(data []byte, into any) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// Errors of checkJSON.
var (
	errJSONDepth     = errors.New("msm: JSON nested too deeply")
	errJSONDuplicate = errors.New("msm: JSON object with the same key twice")
	errJSONUTF8      = errors.New("msm: JSON that is not UTF-8")
)

// checkJSON finds what encoding/json lets pass. It relies on encoding/json to
// refuse whatever is no JSON at all: there it may find anything, or nothing.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		// encoding/json would replace the bytes, and two keys become one.
		return errJSONUTF8
	}
	c := jsonChecker{data: data}
	for c.at < len(data) {
		if err := c.step(); err != nil {
			return err
		}
	}
	return nil
}

// jsonChecker walks over the tokens that matter: braces, brackets and keys.
type jsonChecker struct {
	data   []byte
	at     int
	depth  int
	starts [maxDecodedDepth]int // for each open object or array: where its keys start
	keys   []jsonKey            // of the open objects, outermost first
	plain  []byte               // what keys with escapes mean
}

// jsonKey is where a key stands: in data or, beyond its end, in plain.
type jsonKey struct{ start, end int }

func (c *jsonChecker) step() error {
	switch c.data[c.at] {
	case '{', '[':
		if c.depth == maxDecodedDepth {
			return errJSONDepth
		}
		c.starts[c.depth] = len(c.keys)
		c.depth++
	case '}', ']':
		if c.depth > 0 {
			c.depth--
			return c.close(c.starts[c.depth])
		}
	case '"':
		c.text()
		return nil
	}
	c.at++
	return nil
}

// close ends an object: all its keys are there. Sorting them keeps the check
// fast for objects of any size.
func (c *jsonChecker) close(start int) error {
	c.at++
	keys := c.keys[start:]
	c.keys = c.keys[:start]
	slices.SortFunc(keys, func(a, b jsonKey) int { return bytes.Compare(c.key(a), c.key(b)) })
	for i := 1; i < len(keys); i++ {
		if bytes.Equal(c.key(keys[i-1]), c.key(keys[i])) {
			return errJSONDuplicate
		}
	}
	return nil
}

func (c *jsonChecker) key(k jsonKey) []byte {
	if k.start < len(c.data) {
		return c.data[k.start:k.end]
	}
	return c.plain[k.start-len(c.data) : k.end-len(c.data)]
}

// text passes a string, and keeps it if it is a key: if a colon follows.
func (c *jsonChecker) text() {
	start, escaped := c.at, false
	for c.at++; c.at < len(c.data) && c.data[c.at] != '"'; c.at++ {
		if c.data[c.at] == '\\' {
			escaped = true
			c.at++
		}
	}
	c.at = min(c.at+1, len(c.data))
	key := jsonKey{start, c.at}
	for c.at < len(c.data) && strings.IndexByte(" \t\r\n", c.data[c.at]) >= 0 {
		c.at++
	}
	if c.at == len(c.data) || c.data[c.at] != ':' {
		return
	}
	if escaped {
		key = c.unescape(key)
	}
	if c.keys == nil {
		c.keys = make([]jsonKey, 0, 16) // as many as most values need
	}
	c.keys = append(c.keys, key)
}

// unescape gives a key the form it has without escapes: in two spellings it is
// the same key.
func (c *jsonChecker) unescape(k jsonKey) jsonKey {
	var text string
	if json.Unmarshal(c.key(k), &text) != nil {
		return k // no JSON: encoding/json refuses the whole
	}
	start := len(c.data) + len(c.plain)
	c.plain = append(append(append(c.plain, '"'), text...), '"')
	return jsonKey{start, len(c.data) + len(c.plain)}
}
