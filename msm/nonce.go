package msm

import (
	"math/rand/v2"
	"slices"
)

// Limits of the nonces that a record holds.
const (
	maxNonces    = 32
	maxOwnNonces = 8 // of one author
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
// However many commits others make meanwhile, an author finds his own last ones
// there: nobody has more than maxOwnNonces, and when there is no room, who has
// most of them gives one up.
type nonces []nonce

// with returns the nonces after one more commit.
func (ns nonces) with(n nonce) nonces {
	next := append(append(make(nonces, 0, len(ns)+1), n), ns...)
	of := n.author()
	switch {
	case next.count(of) > maxOwnNonces:
	case len(next) > maxNonces:
		of = next.busiest()
	default:
		return next
	}
	i := len(next) - 1
	for next[i].author() != of {
		i--
	}
	return slices.Delete(next, i, i+1)
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

// busiest is the author of most.
func (ns nonces) busiest() (busiest author) {
	most := 0
	for _, n := range ns {
		if count := ns.count(n.author()); count > most {
			most, busiest = count, n.author()
		}
	}
	return busiest
}

// last is the nonce of the last commit, 0 if there was none.
func (ns nonces) last() nonce {
	if len(ns) == 0 {
		return 0
	}
	return ns[0]
}
