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
// stored something meanwhile, all begins anew, under another id.
func (s *store) renew(ctx context.Context, v *version, b *batch) (*version, error) {
	if !s.reseat(v) {
		if err := s.reread(ctx, v, new(intent)); err != nil {
			return nil, err
		}
	}
	for range maxCommitRounds {
		next, err := s.succeed(ctx, v, b)
		if err != nil {
			return nil, err
		}
		ended, err := s.endVersion(ctx, v)
		if ended {
			return next, nil
		}
		s.end(ctx, next, invalidated) // nobody will ask for it; should this fail, it expires
		switch {
		case err != nil:
			return nil, err
		case v.rec.dead != alive:
			return nil, ErrInvalidated
		}
	}
	return nil, ErrConflict
}

// succeed stores v with the batch under a new id.
func (s *store) succeed(ctx context.Context, v *version, b *batch) (*version, error) {
	commit := s.author.newCommit()
	rec, err := v.successor(&intent{batches: []*batch{{stored: b.stored, nonce: commit.nonce}}})
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
	return err == nil && v.rec.committed(commit.nonce), err // another Renew may have been faster elsewhere
}
