package msm

import (
	"context"
	"errors"

	"github.com/seed99545744/msm/memcache"
)

// maxRaiseRounds bounds the attempts at one copy.
const maxRaiseRounds = 8

// spread raises the copies that are behind the version. It is done when the
// session's node has it, the second copy is taken care of, and so are the nodes
// that held what the version was made from.
func (s *store) spread(ctx context.Context, v *version, in *intent, node, second int) bool {
	defer s.stats.since(in.after(), s.stats.begin())
	if !s.raise(ctx, v, node, v.stamp) {
		return false
	}
	for i := range v.n {
		h := &v.places[i]
		left := h.owed || in.end != alive && h.known == present
		if left && i != node && i != second && !h.out && h.server.up() && !s.leave(ctx, v, i) && !h.out {
			return false
		}
	}
	switch {
	case second < 0 || v.places[second].has(v, v.stamp):
		return true
	case in.second != nil:
		in.second(v)
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, s.backupTimeout)
	defer cancel()
	return s.raise(ctx, v, second, v.stamp)
}

// leave settles with a node that held the session before this version. Another
// instance may see no other node: the CAS there tells which of the two has come
// first. The copy is left behind in the epoch before, where no cookie of this
// one finds it; a tombstone is the same everywhere.
func (s *store) leave(ctx context.Context, v *version, i int) bool {
	ctx, cancel := context.WithTimeout(ctx, s.backupTimeout)
	defer cancel()
	if v.rec.dead != alive {
		return s.raise(ctx, v, i, v.stamp)
	}
	return v.places[i].known == absent || s.raise(ctx, v, i, v.stamp.before())
}

// raise brings the copy at a place up to v, with that stamp. It fails if the
// node does not answer, which is then out, or if the copy there outranks v: that
// is v then.
func (s *store) raise(ctx context.Context, v *version, i int, at stamp) bool {
	h := &v.places[i]
	for range maxRaiseRounds {
		if h.known == unknown || h.known == silent || h.unread() && (h.raw().newerThan(at) || v.rec.dead == renewed) {
			s.fetch(ctx, v, i, true)
		}
		v.meet(h)
		switch {
		case h.known == silent || errors.Is(h.spoilt, errNewerFormat):
			h.out = true
			return false
		case h.has(v, at):
			return true
		case v.rec.dead != alive && h.known == present && h.raw().newerThan(v.stamp):
			// Whoever stored that did not see the end, and did not outlive it.
			v.stamp = h.raw().fence()
			at = v.stamp
		case v.rec.dead == alive && h.readable() && (h.rec.dead != alive || h.stamp().newerThan(v.stamp)):
			v.adopt(i)
			return false
		}
		err := s.put(ctx, v, i, v.rec, at)
		if err == nil {
			return true
		}
		if !isLost(err) {
			break
		}
		h.known = unknown
	}
	h.out = true
	return false
}

// put stores a record at a place: with CAS over what is known to lie there,
// with add otherwise.
func (s *store) put(ctx context.Context, v *version, i int, rec *record, at stamp) error {
	h := &v.places[i]
	value, err := s.encode(v, rec, at)
	if err != nil {
		return err
	}
	item := h.item
	item.Key, item.Value, item.Flags, item.TTL = v.key, value, uint32(at), ttl(rec.maxInactive)
	store := h.server.client.Add
	if h.known == present {
		if item.CAS == 0 {
			return memcache.ErrCASConflict // the last store did not tell: read first
		}
		store = h.server.client.CompareAndSwap
	}
	begin := s.stats.begin()
	err = store(ctx, &item)
	s.stats.put(len(value), begin, err)
	if err != nil {
		h.noteHung(err)
		return err
	}
	item.Value = nil
	h.known, h.item, h.rec, h.spoilt, h.err = present, item, rec, nil, nil
	if at == v.stamp && v.unwritten {
		v.source, v.unwritten = i, false
	}
	return nil
}

// isLost tells whether a store came to nothing because something else lies, or
// nothing lies, where it was to go.
func isLost(err error) bool {
	return errors.Is(err, memcache.ErrCASConflict) || errors.Is(err, memcache.ErrNotStored) || errors.Is(err, memcache.ErrMiss)
}

// isUncertain tells whether a store that failed may have happened, or happen
// yet.
func isUncertain(err error) bool {
	return !isLost(err) && !errors.Is(err, memcache.ErrNodeDown)
}
