package msm

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Limits of the nonces that a record holds.
const (
	maxAuthors   = 16
	maxOwnNonces = 8 // of one author
	maxNonces    = maxAuthors * maxOwnNonces
	nonceLife    = 10 * time.Minute // longer than anybody goes on trying to store
)

// nonce names a commit, so that one whose outcome is unknown can be recognized:
// its upper half says whose it is. 0 is no nonce.
type nonce uint64

// author names a Manager that makes commits.
type author uint32

func newAuthor() author { return author(rand.Uint32()) }

func (a author) newNonce() nonce { return nonce(a)<<32 | nonce(rand.Uint32()|1) }

// newCommit returns a batch without changes: a commit that makes or moves copies.
func (a author) newCommit() *batch { return &batch{nonce: a.newNonce()} }

func (n nonce) author() author { return author(n >> 32) }

// nonces are those of a record's last commits, newest first. They never change.
//
// However many commits others make meanwhile, an author finds its own last ones
// there: each has room for maxOwnNonces, and only who has been silent for longest
// goes when there are too many.
type nonces []nonce

// with returns the nonces after one more commit. idle is how long ago the last one
// was: others who have made no commit for so long are done.
func (ns nonces) with(n nonce, idle time.Duration) nonces {
	next := append(make(nonces, 0, len(ns)+1), n)
	authors := 1
	for _, m := range ns {
		mine := next.count(m.author())
		switch {
		case mine == maxOwnNonces, mine == 0 && authors == maxAuthors, idle > nonceLife && m.author() != n.author():
			continue
		case mine == 0:
			authors++
		}
		next = append(next, m)
	}
	return next
}

// count tells how many are of that author.
func (ns nonces) count(a author) int {
	count := 0
	for _, n := range ns {
		if n.author() == a {
			count++
		}
	}
	return count
}

// lack tells whether a commit among others is none of ns. One that may have been
// pushed out is taken for one of them.
func (ns nonces) lack(others nonces) bool {
	for i, n := range others {
		if slices.Contains(ns, n) {
			continue
		}
		older := func(m nonce) bool { return m.author() == n.author() && slices.Contains(ns, m) }
		if ns.count(n.author()) < maxOwnNonces || slices.ContainsFunc(others[i+1:], older) {
			return true
		}
	}
	return false
}

// last is the nonce of the last commit, 0 if there was none.
func (ns nonces) last() nonce {
	if len(ns) == 0 {
		return 0
	}
	return ns[0]
}
