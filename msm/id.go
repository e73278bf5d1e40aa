package msm

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"strconv"
	"strings"
)

// Limits of a session id as it stands in the cookie: base[-node[~epoch]][.route].
const (
	maxIDLen    = 160 // bytes of the whole value; longer input is refused unread
	baseLen     = 32  // characters of a-z2-7: 160 random bits
	maxNodeLen  = 32
	maxRouteLen = 64
	maxEpochLen = 4 // base 36: an epoch has 16 bits
)

// keyHashLen is the length of the hash in a storage key: 27 characters of
// base64url hold 162 bits, no fewer than the id itself has.
const keyHashLen = 27

var baseEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// sessionID is what the cookie carries. Only base names the session; node and
// epoch say where its newest copy was, route which instance served it last.
type sessionID struct {
	base  string
	node  string // "" with a single node that has no id, or while no node was up
	epoch uint16 // stamp >> 16 of that copy; written only beside a node
	route string
}

// newBase returns the random part of a new session id.
func newBase() string {
	var random [baseLen * 5 / 8]byte
	rand.Read(random[:]) // never fails: without randomness the process ends
	var text [baseLen]byte
	baseEncoding.Encode(text[:], random[:])
	return string(text[:])
}

// parseID reads a cookie's value. It accepts exactly what String writes, reads
// nothing of a value that is too long, and allocates nothing: the parts of
// the id are substrings of s.
func parseID(s string) (sessionID, bool) {
	if len(s) < baseLen || len(s) > maxIDLen {
		return sessionID{}, false
	}
	id := sessionID{base: s[:baseLen]}
	if !consistsOf(id.base, isBaseChar) {
		return sessionID{}, false
	}
	// The base has a fixed length and a node has no dot: the first dot, if
	// any, starts the route, whatever the route itself contains.
	place, route, hasRoute := strings.Cut(s[baseLen:], ".")
	if hasRoute && !validRoute(route) {
		return sessionID{}, false
	}
	id.route = route
	if place == "" {
		return id, true
	}
	node, epoch, hasEpoch := strings.Cut(place[1:], "~")
	if place[0] != '-' || !validNodeID(node) {
		return sessionID{}, false
	}
	id.node = node
	if !hasEpoch {
		return id, true
	}
	var ok bool
	id.epoch, ok = parseEpoch(epoch)
	if !ok {
		return sessionID{}, false
	}
	return id, true
}

// parseEpoch reads an epoch in the one form that String writes: lower case,
// no leading zero, and never the epoch 0, which is left out.
func parseEpoch(s string) (uint16, bool) {
	if s == "" || len(s) > maxEpochLen || s[0] == '0' || !consistsOf(s, isEpochChar) {
		return 0, false
	}
	epoch, err := strconv.ParseUint(s, 36, 16)
	return uint16(epoch), err == nil
}

// String is the cookie's value.
func (id sessionID) String() string {
	var buf [maxIDLen]byte
	dst := append(buf[:0], id.base...)
	if id.node != "" {
		dst = append(append(dst, '-'), id.node...)
		if id.epoch != 0 {
			dst = strconv.AppendUint(append(dst, '~'), uint64(id.epoch), 36)
		}
	}
	if id.route != "" {
		dst = append(append(dst, '.'), id.route...)
	}
	return string(dst)
}

// publicString is the id as handlers see it: without the epoch, which changes
// with the copies and says nothing about the session.
func (id sessionID) publicString() string {
	id.epoch = 0
	return id.String()
}

// validNodeID tells whether a node's id can stand in a session id.
func validNodeID(s string) bool {
	return s != "" && len(s) <= maxNodeLen && consistsOf(s, isNodeChar)
}

// validRoute tells whether an instance's name can stand in a session id.
func validRoute(s string) bool {
	return s != "" && len(s) <= maxRouteLen && consistsOf(s, isRouteChar)
}

func consistsOf(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

func isBaseChar(c byte) bool  { return isLower(c) || '2' <= c && c <= '7' }
func isEpochChar(c byte) bool { return isLower(c) || isDigit(c) }
func isNodeChar(c byte) bool  { return isLower(c) || isDigit(c) || isUpper(c) || c == '_' }
func isRouteChar(c byte) bool { return isNodeChar(c) || c == '.' || c == '-' }

// keyspace makes the storage keys of one manager. Of what a client sends,
// nothing but the hash of a well-formed base reaches a key: who can read
// memcached's keys cannot make cookies of them.
type keyspace struct{ prefix string }

// session is the key of the session's value.
func (k keyspace) session(base string) string { return k.key("", base) }

// lock is the key of the session's lock.
func (k keyspace) lock(base string) string { return k.key("lock:", base) }

func (k keyspace) key(kind, base string) string {
	sum := sha256.Sum256([]byte(base))
	var text [43]byte // base64 of 32 bytes, unpadded
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return k.prefix + kind + string(text[:keyHashLen])
}
