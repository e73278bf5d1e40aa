package msm

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// maxCommitRounds bounds one commit: rounds that met somebody else's commit, or a
// node that failed.
const maxCommitRounds = 64

// intent is what a caller wants of settle, and how far settle has come.
type intent struct {
	batches []*batch  // what is to be stored, in order; none: only the copies are to be mended
	end     tombstone // the session is to end; the batch just names the commit
	fence   bool      // the commit starts an epoch whatever else happens
	kept    bool      // the caller has the session in memory, whatever becomes of its copies

	// second says what happens to the second copy when the rest is done: nil
	// means that it is written at once.
	second func(*version)

	// What is done once: settle notes it here when it was, or the caller.
	reached bool // nodes that were down have been tried again
	revived bool // and so have all, when there was no other
	looked  bool // all places were looked at, as a takeover wants it
}

// maxGroup is how many batches are stored together: their nonces must not push
// each other out of the record.
const maxGroup = maxOwnNonces / 2

func (in *intent) commits() bool { return len(in.batches) > 0 }

// done tells whether all of it is part of the record.
func (in *intent) done(rec *record) bool {
	return !slices.ContainsFunc(in.batches, func(b *batch) bool { return !rec.committed(b.nonce) })
}

// batchError says which batch can never be stored, and why.
type batchError struct {
	batch *batch
	err   error
}

func (e *batchError) Error() string { return e.err.Error() }
func (e *batchError) Unwrap() error { return e.err }

// settle brings a session's copies and v to where the intent wants them. When
// it returns nil the session's node has the version that v is then, and the
// node of the second copy too, unless in.second took that over.
//
// Stamps order all versions of a session, and the highest one is the session.
// That works because one place decides about every version's successor: the
// node that its record names. All who see it go there first, and its CAS puts
// them in order. Who does not see it goes to the other node that the record
// names, and outranks it. Either way a commit is not done before both nodes have
// it, as far as they are up: two that decide at different places meet at one of
// them, and there the lower one adopts the higher one's version and starts over.
func (s *store) settle(ctx context.Context, v *version, in intent) error {
	if !s.reseat(v) {
		if err := s.reread(ctx, v, &in); err != nil {
			return err
		}
	}
	for i := range v.n {
		v.places[i].out, v.places[i].owed = false, false
	}
	for round := range maxCommitRounds {
		if err := ctx.Err(); err != nil && round > 0 {
			return unavailable(cmp.Or(v.failure(), err))
		}
		v.advance()
		node, second := v.roles()
		v.home = node
		if node < 0 {
			if s.revive(ctx, v, &in) {
				continue
			}
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

// revive looks, once, whether nodes are back that all count as down.
func (s *store) revive(ctx context.Context, v *version, in *intent) bool {
	if in.revived {
		return false
	}
	in.revived = true
	s.reachAll(ctx, v)
	for i := range v.n {
		v.places[i].out = false
	}
	return true
}

// mend brings the copies of a session up to date that were found wanting. What
// cannot be mended now is found wanting again.
func (s *store) mend(ctx context.Context, v *version) {
	was := *v
	if err := s.settle(ctx, v, intent{}); err != nil && (v.rec == nil || v.source < 0) {
		v.restore(&was)
	}
}

// mustWrite tells whether the version has to change before its copies are
// right.
func (v *version) mustWrite(in *intent, node, second int) bool {
	switch {
	case v.rec.dead != alive:
		return false
	case v.source < 0, v.unwritten, v.doubted():
		return true
	case !in.commits():
		return !v.seated(v.rec, node, second) || v.forgotten()
	}
	return !in.done(v.rec) || v.rec.node != v.name(node) || v.rec.second != v.name(second)
}

// write makes the next version and stores it where that is decided. It is not
// written if somebody else was faster or the place did not answer; v is then
// what was found instead.
func (s *store) write(ctx context.Context, v *version, in *intent, node, second int) (bool, error) {
	where, takeover := s.arbiter(ctx, v, in, node)
	if where < 0 || v.advance() {
		return false, nil
	}
	if critical := takeover || second < 0 && v.rec.second != ""; critical && !in.reached {
		in.reached = true
		if s.reach(ctx, v) {
			return false, nil
		}
	}
	if takeover && s.lookAround(ctx, v, in, where) {
		return false, nil
	}
	rec, err := v.rec.successor(in)
	if err == nil {
		err = rec.fits()
	}
	if err != nil {
		return false, err
	}
	next := v.stamp.next()
	switch {
	case takeover:
		next = v.highest().takeover()
	case rec.node != "" && rec.node != v.name(node), v.leaves(rec, node, second), in.fence, in.end != alive, v.doubted():
		next = v.highest().fence()
	}
	v.owe(rec)
	rec.node, rec.second = v.name(node), v.name(second)
	at := next
	if rec.dead == alive && !rec.names(v.name(where)) {
		at = next.before() // it hands the session over
	}
	err = s.put(ctx, v, where, rec, at)
	var refusal *memcache.ServerError
	switch {
	case err == nil:
		v.adopt(where)
		in.fence = false
		return true, nil
	case errors.Is(err, memcache.ErrTooLarge):
		return false, tooLarge(rec)
	case errors.As(err, &refusal):
		s.bringBack(ctx, v, where, err)
		return false, nil
	case isUncertain(err):
		v.doubtful = next
	}
	if isLost(err) && s.overtaken(ctx, v, where) {
		return false, nil
	}
	return false, s.reread(ctx, v, in)
}

// bringBack stores again what lay at a place that has refused the next version,
// for want of memory, say: memcached drops the item that it cannot replace.
func (s *store) bringBack(ctx context.Context, v *version, i int, refusal error) {
	h := &v.places[i]
	if h.known == present {
		h.known = absent
		s.put(ctx, v, i, v.rec, h.raw()) // there is nothing else to try
	}
	h.known, h.err, h.out = silent, refusal, true
}

// arbiter returns the place that decides about v's successor: the node that the
// record names. It is a takeover when that one is not up, or has lost what it
// decided: then the other one that the record names decides, or the place that v
// was read from. No place (-1) means that v has to be looked at again.
func (s *store) arbiter(ctx context.Context, v *version, in *intent, node int) (place int, takeover bool) {
	if v.fresh {
		return node, false
	}
	first, second := v.place(v.rec.node), v.place(v.rec.second)
	if first >= 0 && s.look(ctx, v, first) {
		if !v.places[first].lacks(v) {
			return first, false
		}
		if v.source >= 0 && (v.stamp.first() || second < 0 || !s.look(ctx, v, second) || v.places[second].lacks(v)) {
			// Whoever made v has not brought it there yet, or it is in memory only.
			if !s.lookAround(ctx, v, in, first) {
				s.raise(ctx, v, first, v.stamp)
			}
			return -1, false
		}
	}
	switch {
	case second >= 0 && s.look(ctx, v, second) && !v.places[second].lacks(v):
		return second, true
	case v.source >= 0:
		return v.source, true
	}
	return node, true
}

// look makes sure that a place which seems to lack v really does, and tells
// whether its node answers.
func (s *store) look(ctx context.Context, v *version, i int) bool {
	h := &v.places[i]
	if h.out || !h.server.up() {
		return false
	}
	if h.known != present || h.lacks(v) {
		s.fetch(ctx, v, i, true)
		h.out = h.known == silent
	}
	return h.known != silent
}

// lookAround looks, once, for a newer version at the other places, and tells
// whether there is one. The session may have moved on from a node that did not
// answer, and that node cannot know.
func (s *store) lookAround(ctx context.Context, v *version, in *intent, where int) bool {
	if in.looked {
		return false
	}
	in.looked = true
	s.each(v, func(i int) bool {
		return i != where && !v.places[i].out && v.places[i].server.up()
	}, func(i int) {
		s.fetch(ctx, v, i, true)
		v.places[i].out = v.places[i].known == silent
	})
	return v.advance()
}

// overtaken looks at the place of a lost CAS, and tells whether a newer version
// there explains it.
func (s *store) overtaken(ctx context.Context, v *version, where int) bool {
	s.fetch(ctx, v, where, true)
	h := &v.places[where]
	if !h.readable() || h.rec.dead == alive && v.stamp.newerThan(h.stamp()) {
		return false
	}
	v.adopt(where)
	return true
}

// reread looks everywhere for the newest version. What v was is kept if it is
// newer, as its only copy may be gone. Where every place says that there is none,
// the session was lost: it is made again, which is a takeover. Places that are down
// are not waited for by who keeps the session in memory.
func (s *store) reread(ctx context.Context, v *version, in *intent) error {
	s.reseat(v)
	was := *v
	v.unlearn()
	err := s.search(ctx, v, was.stamp.epoch())
	for i := range v.n {
		h := &v.places[i]
		h.out = h.out || h.known == silent
	}
	in.looked = true
	switch {
	case v.rec != nil && (v.rec.dead != alive || !was.stamp.newerThan(v.stamp)):
		return nil
	case v.rec == nil && err != nil && !was.fresh && !(in.kept && v.silentAreDown()):
		return err
	}
	v.rec, v.stamp, v.fresh, v.unwritten = was.rec, was.stamp, was.fresh, true
	return nil
}

// successor is the record of the next version.
func (r *record) successor(in *intent) (*record, error) {
	rec := new(record)
	*rec = *r
	rec.accessed = time.Now()
	if !in.commits() {
		return rec, nil // without a nonce: room is for those that somebody may look for
	}
	for _, b := range in.batches {
		if rec.committed(b.nonce) {
			continue
		}
		next, err := rec.with(&b.stored)
		if err != nil {
			return nil, &batchError{b, err}
		}
		next.nonces = rec.nonces.with(b.nonce, rec.accessed.Sub(r.accessed))
		rec = next
	}
	if in.end != alive {
		rec.dead, rec.attrs, rec.unknown = in.end, nil, nil
	}
	return rec, nil
}

// committed tells whether the commit of that nonce is part of the record.
func (r *record) committed(n nonce) bool { return slices.Contains(r.nonces, n) }
