package memcachetest

import (
	"encoding/base64"
)

// Refusals of the meta commands.
const (
	badToken   = "CLIENT_ERROR bad token in command line format"
	badBase64  = "CLIENT_ERROR error decoding key"
	someFlag   = "CLIENT_ERROR invalid or duplicate flag" // all that md and ma say
	dupFlag    = "CLIENT_ERROR duplicate flag"
	badFlag    = "CLIENT_ERROR invalid flag"
	manyFlags  = "CLIENT_ERROR options flags are too long"
	longOpaque = "CLIENT_ERROR opaque token too long"
)

const (
	maxMetaWords = 21 // command, key and flags; memcached's table holds no more
	maxOpaque    = 32 // with the letter O (protocol.txt, "Meta Commands": opaque)
)

// metaFlags are the flags of one meta command.
type metaFlags struct {
	words   [][]byte // in request order: replies keep it
	seen    [127]bool
	flags   uint32 // F
	ttl     int64  // T
	vivify  int64  // N
	recache int64  // R
	cas     uint64 // C
	mode    byte   // M, 0 if absent
	initial uint64 // J
	delta   uint64 // D
}

func (f *metaFlags) has(flag byte) bool { return f.seen[flag] }

// condition is C of an md: 0 is a CAS like another there.
func (f *metaFlags) condition() condition { return condition{f.has('C'), f.cas} }

// parseMeta reads the key and the flags of a meta command; refusal is the line
// that says what is wrong, or "". Of several wrong flags the last one counts.
func parseMeta(key []byte, words [][]byte) (k string, f metaFlags, refusal string) {
	f.words, f.delta = words, 1
	for _, w := range words {
		if w[0] >= 127 || f.seen[w[0]] {
			return "", f, dupFlag
		}
		f.seen[w[0]] = true
		said := f.parse(w)
		if w[0] == 'b' {
			var ok bool
			if key, ok = decodeKey(key); !ok {
				said = badBase64
			}
		}
		if said == badFlag {
			return "", f, said
		}
		if said != "" && (refusal == "" || said != badFormat) { // F says nothing of its own
			refusal = said
		}
	}
	return string(key), f, refusal
}

func decodeKey(key []byte) (decoded []byte, ok bool) {
	decoded, err := base64.StdEncoding.AppendDecode(nil, key)
	return decoded, err == nil && len(decoded) > 0
}

// parse reads one flag; refusal says what is wrong with it, or "".
func (f *metaFlags) parse(w []byte) (refusal string) {
	ok, arg := true, w[1:]
	refusal = badToken
	switch w[0] {
	case 'b', 'c', 'f', 'h', 'I', 'k', 'L', 'l', 'P', 'q', 's', 't', 'u', 'v':
	case 'O':
		ok, refusal = len(w) <= maxOpaque, longOpaque
	case 'T':
		f.ttl, ok = parseInt(arg)
	case 'N':
		f.vivify, ok = parseInt(arg)
	case 'R':
		f.recache, ok = parseInt(arg)
	case 'C':
		f.cas, ok = parseUint(arg)
	case 'F':
		refusal = badFormat
		f.flags, ok = parseFlags(arg)
	case 'J':
		refusal = "CLIENT_ERROR invalid numeric initial value"
		f.initial, ok = parseUint(arg)
	case 'D':
		refusal = "CLIENT_ERROR invalid numeric delta value"
		f.delta, ok = parseUint(arg)
	case 'M':
		refusal = "CLIENT_ERROR incorrect length for M token"
		if ok = len(arg) == 1; ok {
			f.mode = arg[0]
		}
	default:
		return badFlag
	}
	if ok {
		return ""
	}
	return refusal
}

// metaArgs refuses a meta command without a key, with one that is too long, or
// with too many flags.
func (c *conn) metaArgs(args [][]byte) bool {
	switch {
	case len(args) == 0:
		c.say("ERROR")
	case len(args[0]) > maxKey:
		c.say(badFormat)
	case len(args) > maxMetaWords-1:
		c.say(manyFlags)
	default:
		return true
	}
	return false
}

// metaHead reads key and flags of an md or ma. Of what is wrong with them
// memcached tells no more than that there is something.
func (c *conn) metaHead(args [][]byte) (key string, f metaFlags, ok bool) {
	if !c.metaArgs(args) {
		return "", f, false
	}
	key, f, refusal := parseMeta(args[0], args[1:])
	if refusal != "" {
		c.say(someFlag)
	}
	return key, f, refusal == ""
}

// echo appends k, O and b of the request to a reply, in request order.
func (c *conn) echo(key string, binary bool, w []byte) {
	switch w[0] {
	case 'O':
		c.out = append(append(c.out, ' '), w...)
	case 'k':
		c.out = append(c.out, " k"...)
		if !binary {
			c.out = append(c.out, key...)
			return
		}
		c.out = base64.StdEncoding.AppendEncode(c.out, []byte(key))
		c.out = append(c.out, " b"...)
	}
}

// status answers with a return code and what the request wants to see again.
func (c *conn) status(code, key string, f *metaFlags) {
	c.out = append(c.out, code...)
	for _, w := range f.words {
		c.echo(key, f.has('b'), w)
	}
	c.out = append(c.out, "\r\n"...)
}
