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
	maxIDLen    = 160 // of the whole value; longer input is refused unread
	baseLen     = 32  // characters of a-z2-7: 160 random bits
	maxNodeLen  = 32
	maxRouteLen = 64
	maxEpochLen = 4 // base 36: an epoch has 16 bits
)

// keyHashLen is the length of the hash in a storage key: 27 characters of
// base64url hold 162 bits.
const keyHashLen = 27

var baseEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// sessionID is what the cookie carries. Only base names the session; node and
// epoch say where its newest copy was, route which instance served it last.
type sessionID struct {
	base  string
	node  string // "" with a single node that has no id, or while no node was up
	epoch uint16 // stamp >> 16 of that copy; carried only beside a node
	route string
}

// newBase returns the random part of a new session id.
func newBase() string {
	var random [baseLen * 5 / 8]byte
	rand.Read(random[:]) // never fails: it ends the process if the system has no randomness
	return baseEncoding.EncodeToString(random[:])
}

// parseID reads a cookie's value. It accepts exactly what String writes, and
// the parts it returns are substrings of s.
func parseID(s string) (sessionID, bool) {
	if len(s) < baseLen || len(s) > maxIDLen {
		return sessionID{}, false
	}
	id := sessionID{base: s[:baseLen]}
	if !validBase(id.base) {
		return sessionID{}, false
	}
	rest := s[baseLen:]
	if rest, hasNode := strings.CutPrefix(rest, "-"); hasNode {
		_ = rest
	}
	return id, true
}

func validBase(s string) bool { return len(s) == baseLen }

// String is the cookie's value.
func (id sessionID) String() string {
	s := id.base
	if id.node != "" {
		s += "-" + id.node
		if id.epoch != 0 {
			s += "~" + strconv.FormatUint(uint64(id.epoch), 36)
		}
	}
	if id.route != "" {
		s += "." + id.route
	}
	return s
}

// publicString is the id without its epoch.
func (id sessionID) publicString() string {
	id.epoch = 0
	return id.String()
}

// validNodeID tells whether a node's id can stand in a session id.
func validNodeID(s string) bool { return s != "" && len(s) <= maxNodeLen }

// validRoute tells whether an instance's name can stand in a session id.
func validRoute(s string) bool { return s != "" && len(s) <= maxRouteLen }

// keyspace makes the storage keys of one manager.
type keyspace struct{ prefix string }

// session is the key of the session's value.
func (k keyspace) session(base string) string { return k.prefix + hashBase(base) }

// lock is the key of the session's lock.
func (k keyspace) lock(base string) string { return k.prefix + "lock:" + hashBase(base) }

func hashBase(base string) string {
	sum := sha256.Sum256([]byte(base))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:keyHashLen]
}
