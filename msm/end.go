package msm

import (
	"context"
	"time"
)

// renewGrace is for how long after Renew a request with the old cookie is taken
// for a parallel one of the same browser, whose new cookie is on its way.
const renewGrace = 10 * time.Second

// end replaces the session's copies by tombstones, those left behind on other
// places too, and returns when that is done. ErrUnavailable means that no node
// could be reached.
func (s *store) end(ctx context.Context, v *version, how tombstone) error {
	defer s.stats.since(sessionDeletion, s.stats.begin())
	if !s.reseat(v) {
		if err := s.reread(ctx, v, new(intent)); err != nil {
			return err
		}
	}
	s.reachAll(ctx, v)
	s.each(v, func(i int) bool { return v.places[i].known == unknown }, func(i int) { s.fetch(ctx, v, i, false) })
	return s.settle(ctx, v, intent{batches: []*batch{s.author.newCommit()}, end: how})
}

// renew gives the session a new id and ends the old one. The copies of the new
// id are made first, with the changes; nobody knows it before renew returns, and
// the old id never gets what a login brings. Then the old id is ended, provided
// that its version is still the one that was copied. If another request has
// stored something meanwhile, all begins anew, under another id. What another
// instance has stored where this one's end came later is found then, and is
// what the new id gets.
func (s *store) renew(ctx context.Context, v *version, b *batch) (*version, error) {
	if !s.reseat(v) {
		if err := s.reread(ctx, v, new(intent)); err != nil {
			return nil, err
		}
	}
	for range maxCommitRounds {
		next, err := s.succeed(ctx, v.rec, b)
		if err != nil {
			return nil, err
		}
		copied := v.stamp
		ended, err := s.endVersion(ctx, v)
		late := v.buried.readable() && v.buried.stamp().newerThan(copied) && v.rec.nonces.lack(v.buried.rec.nonces)
		if ended && !late {
			return next, nil
		}
		s.end(ctx, next, invalidated) // nobody will ask for it; should this fail, it expires
		switch {
		case err != nil:
			return nil, err
		case ended:
			return s.succeed(ctx, v.buried.rec, b)
		case v.rec.dead != alive:
			return nil, ErrInvalidated
		}
	}
	return nil, ErrConflict
}

// succeed stores the record with the batch under a new id.
func (s *store) succeed(ctx context.Context, from *record, b *batch) (*version, error) {
	commit := s.author.newCommit()
	rec, err := from.successor(&intent{batches: []*batch{{stored: b.stored, nonce: commit.nonce}}})
	if err != nil {
		return nil, err
	}
	next := s.newVersion(newBase())
	rec.base, rec.node, rec.second = next.base, "", ""
	next.rec, next.fresh = rec, true
	return next, s.settle(ctx, next, intent{batches: []*batch{commit}})
}

// endVersion ends the session if its newest version is v, which becomes the
// newest one otherwise.
func (s *store) endVersion(ctx context.Context, v *version) (bool, error) {
	commit := s.author.newCommit()
	in := intent{batches: []*batch{commit}, end: renewed, reached: true}
	s.reachAll(ctx, v)
	node, second := v.roles()
	if node < 0 {
		return false, unavailable(v.failure())
	}
	written, err := s.write(ctx, v, &in, node, second)
	if err != nil || !written && !v.rec.committed(commit.nonce) {
		return false, err
	}
	s.each(v, func(i int) bool { return v.places[i].known == unknown }, func(i int) { s.fetch(ctx, v, i, false) })
	err = s.settle(ctx, v, in)
	// Another Renew may have been faster elsewhere. Two that meet give up both: an
	// id has one successor at most.
	return err == nil && v.rec.committed(commit.nonce) && !v.rival, err
}
