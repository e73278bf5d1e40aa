package msm

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// Bounds of one commit.
const (
	maxCommitRounds = 64 // that met somebody else's commit, or a node that silent
	maxRaiseRounds  = 8  // for one copy
)

// intent is what a caller wants of settle.
type intent struct {
	changes *changes
	nonce   uint64    // of the commit; 0: nothing is to be stored, only the copies to be mended
	end     tombstone // the session is to end
	fence   bool      // the commit starts an epoch whatever else happens

	// second says what happens to the second copy when the rest is done: nil
	// means that it is written at once.
	second func(*version)
}

func (in *intent) commits() bool { return in.nonce != 0 }

// settle brings a session's copies and v to where the intent wants them. When
// it returns nil the session's node has the version that v is then, and the
// node of the second copy too, unless in.second took that over.
//
// The CAS on one place decides who comes first: that which the version was read
// from. Whoever loses reads the winner's version, merges and tries again. Then
// the other copies are raised, never lowered; a copy that has something this
// version lacks means that the commit was decided elsewhere, and starts over.
// A commit that was cut off in between is known by its nonce.
func (s *store) settle(ctx context.Context, v *version, in intent) error {
	for range maxCommitRounds {
		node, second := v.roles()
		v.home = node
		if node < 0 {
			return unavailable(cmp.Or(v.failure(), error(memcache.ErrNodeDown)))
		}
		if v.rec.dead != alive && in.commits() && in.end == alive {
			// What this commit has stored by now must not outlive the tombstone.
			s.spread(ctx, v, &intent{end: v.rec.dead}, node, second)
			return ErrInvalidated
		}
		if v.mustWrite(&in, node, second) {
			written, err := s.write(ctx, v, &in, node, second)
			if err != nil {
				return err
			}
			if !written {
				continue
			}
		}
		if s.spread(ctx, v, &in, node, second) {
			return nil
		}
	}
	return ErrConflict
}

// mend brings the copies of a session up to date that were found wanting. What
// cannot be mended now is found wanting again.
func (s *store) mend(ctx context.Context, v *version) {
	was := *v
	if err := s.settle(ctx, v, intent{}); err != nil && (v.rec == nil || v.source < 0) {
		*v = was
	}
}

// mustWrite tells whether the version has to change before its copies are
// right.
func (v *version) mustWrite(in *intent, node, second int) bool {
	alone := second < 0 && v.n > 1
	switch {
	case v.rec.dead != alive:
		return false
	case v.source < 0, v.unwritten:
		return true
	case !in.commits():
		return v.rec.alone && !alone
	}
	return !v.rec.committed(in.nonce) || v.rec.node != v.places[node].server.name || v.rec.alone != alone
}

// write makes the next version and stores it where the CAS decides. It is not
// written if somebody else was faster or the place did not answer; v is then
// what was found instead.
func (s *store) write(ctx context.Context, v *version, in *intent, node, second int) (bool, error) {
	rec, err := v.successor(in)
	if err == nil {
		err = s.fits(rec)
	}
	if err != nil {
		return false, err
	}
	name := v.places[node].server.name
	alone := second < 0 && v.n > 1
	moved := rec.node != "" && rec.node != name
	next := v.stamp.next()
	if moved || alone && !rec.alone || in.fence || in.end != alive {
		next = v.stamp.fence()
	}
	rec.node, rec.alone = name, alone
	where := v.source
	if where < 0 {
		where = node
	}
	err = s.put(ctx, v, where, rec, next)
	switch {
	case err == nil:
		v.rec, v.built, v.stamp, v.source = rec, v.stamp, next, where
		v.fresh, v.unwritten, in.fence = false, false, false
		return true, nil
	case errors.Is(err, memcache.ErrTooLarge):
		return false, tooLarge(rec)
	case v.fresh && isUncertain(err):
		v.stamp = v.stamp.fence() // it may be stored later: what comes next must be newer
	}
	if isLost(err) && s.overtaken(ctx, v, where) {
		return false, nil
	}
	return false, s.reread(ctx, v, in)
}

// overtaken looks at the place of a lost CAS, and tells whether a newer version
// there explains it.
func (s *store) overtaken(ctx context.Context, v *version, where int) bool {
	s.fetch(ctx, v, where, true)
	h := &v.places[where]
	if !h.readable() || h.rec.dead == alive && v.stamp.newerThan(h.stamp()) {
		return false
	}
	was := *v
	v.adopt(where)
	v.keep(&was)
	return true
}

// reread looks everywhere for the newest version. Where every place says that
// there is none, the session was lost: it is made again, in the next epoch.
func (s *store) reread(ctx context.Context, v *version, in *intent) error {
	was := *v
	v.unlearn()
	err := s.search(ctx, v, was.stamp.epoch())
	for i := range v.n {
		h := &v.places[i]
		h.out = h.out || h.known == silent
	}
	switch {
	case v.rec != nil:
		v.keep(&was)
		return nil
	case err != nil && !was.fresh:
		return err
	}
	in.fence = in.fence || !was.fresh
	v.rec, v.stamp, v.built, v.fresh, v.unwritten = was.rec, was.stamp, was.stamp, was.fresh, true
	return nil
}

// keep makes v, which was found, what it was before if that is more: the copy
// it was read from may be gone, and with it the only one.
func (v *version) keep(was *version) {
	if v.rec.dead != alive {
		return
	}
	older := was.stamp.newerThan(v.stamp)
	if (older || was.unwritten) && !v.rec.committed(was.rec.nonces[0]) {
		v.rec, v.unwritten = was.rec, true
	}
	if older {
		v.stamp, v.unwritten = was.stamp, true
	}
}

// successor is the record of the next version.
func (v *version) successor(in *intent) (*record, error) {
	rec := *v.rec
	rec.accessed = time.Now()
	if !in.commits() {
		rec.pushNonce(newNonce()) // no two versions with one stamp have the same
		return &rec, nil
	}
	if rec.committed(in.nonce) {
		return &rec, nil
	}
	rec.pushNonce(in.nonce)
	if in.end != alive {
		rec.dead, rec.attrs, rec.unknown = in.end, nil, nil
		return &rec, nil
	}
	if in.changes == nil {
		return &rec, nil
	}
	if in.changes.maxInactive != nil {
		rec.maxInactive = *in.changes.maxInactive
	}
	attrs, err := in.changes.merge(rec.attrs)
	rec.attrs = attrs
	return &rec, err
}

// committed tells whether the commit of that nonce is part of the record.
func (r *record) committed(nonce uint64) bool { return slices.Contains(r.nonces[:], nonce) }

func (r *record) pushNonce(nonce uint64) {
	copy(r.nonces[1:], r.nonces[:])
	r.nonces[0] = nonce
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
	if err = store(ctx, &item); err != nil {
		if !isLost(err) {
			h.server.learn(err)
		}
		return err
	}
	h.server.learn(nil)
	item.Value = nil
	h.known, h.item, h.rec, h.spoilt, h.err = present, item, rec, nil, nil
	return nil
}

// isLost tells whether a store came to nothing because something else lies, or
// nothing lies, where it was to go.
func isLost(err error) bool {
	return errors.Is(err, memcache.ErrCASConflict) || errors.Is(err, memcache.ErrNotStored) || errors.Is(err, memcache.ErrMiss)
}

// isUncertain tells whether a store that silent may have happened, or happen
// yet.
func isUncertain(err error) bool {
	return !isLost(err) && !errors.Is(err, memcache.ErrNodeDown)
}

// spread raises the copies that are behind the version. It is done when the
// session's node has it and the second copy is taken care of.
func (s *store) spread(ctx context.Context, v *version, in *intent, node, second int) bool {
	if !s.raise(ctx, v, node) {
		return false
	}
	if in.end != alive {
		s.bury(ctx, v, node, second)
	}
	switch {
	case second < 0 || v.places[second].has(v):
		return true
	case in.second != nil:
		in.second(v)
		return true
	}
	bounded, cancel := context.WithTimeout(ctx, s.backupTimeout)
	defer cancel()
	return s.raise(bounded, v, second)
}

// bury raises the tombstone over left-behind copies, as far as they are known.
func (s *store) bury(ctx context.Context, v *version, node, second int) {
	for i := range v.n {
		if h := &v.places[i]; i != node && i != second && h.known == present && !h.out {
			s.raise(ctx, v, i) // should it fail, the tombstones elsewhere refuse the copy
		}
	}
}

// raise brings the copy at a place up to v. It fails if the node does not
// answer, which is then out, or if the copy there has something that v lacks:
// that is v then.
func (s *store) raise(ctx context.Context, v *version, i int) bool {
	h := &v.places[i]
	for range maxRaiseRounds {
		if h.known == unknown || h.known == silent || h.ahead(v) && h.unread() {
			s.fetch(ctx, v, i, true)
		}
		switch {
		case h.known == silent || errors.Is(h.spoilt, errNewerFormat):
			h.out = true
			return false
		case h.has(v):
			return true
		case h.readable() && (h.ahead(v) || h.rec.dead != alive && v.rec.dead == alive):
			newest := v.stamp
			v.adopt(i)
			v.unwritten = true
			if newest.newerThan(v.stamp) {
				v.stamp = newest
			}
			return false
		}
		err := s.put(ctx, v, i, v.rec, v.stamp)
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

// ahead tells whether the copy may have something that v lacks: it is newer
// than what v was made from.
func (h *replica) ahead(v *version) bool {
	return h.known == present && h.spoilt == nil && h.stamp().newerThan(v.built)
}

// has tells whether the copy is v, or was made from it.
func (h *replica) has(v *version) bool {
	switch {
	case h.known != present || h.spoilt != nil || v.stamp.newerThan(h.stamp()):
		return false
	case h.rec == nil: // two heads that agree
		return h.stamp() == v.stamp && !v.unwritten
	case h.stamp() == v.stamp:
		return h.rec.nonces == v.rec.nonces
	}
	return h.rec.committed(v.rec.nonces[0])
}
