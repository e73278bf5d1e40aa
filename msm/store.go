package msm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// maxStored is how large a session may be: what a memcached with its usual -I
// takes, less key and seal.
const maxStored = memcache.DefaultMaxItemSize - 512

// ttlSlack is how much longer than its session an item lives. Servers count
// in whole seconds and may drop an item up to one second early, what is left is
// told in whole seconds again, and a sticky instance touches the copies up to
// a second late.
const ttlSlack = 4 * time.Second

// store keeps sessions on the nodes: where their copies lie, which of them is
// right, and how to change them. It knows nothing of requests and cookies, and
// is safe for concurrent use.
type store struct {
	// Immutable.
	client        *memcache.Client
	keys          keyspace
	seal          *sealer
	failover      map[string]bool // node ids
	maxInactive   time.Duration   // of sessions that do not say otherwise
	backupTimeout time.Duration   // for the second copy
	author        author
	stats         *counters
	outreach      *outreach

	absent absences                 // keeps itself
	nodes  atomic.Pointer[topology] // that of the client's ring when it was last needed
}

func (s *store) newVersion(base string) *version {
	return s.topology().newVersion(base, s.keys.session(base))
}

// ttl is how long the items of a session are to live.
func ttl(maxInactive time.Duration) time.Duration {
	if maxInactive < 0 {
		return 0
	}
	return maxInactive + ttlSlack
}

// load finds the newest version of a session and gives its copies a new time to
// live. Copies of an epoch before floor are refused: the cookie knows better. A
// version without a record means that every place said that there is none; when
// one could not be asked and no other has the session, load fails.
//
// Two copies that agree are believed; anything else is searched everywhere, and
// mended.
func (s *store) load(ctx context.Context, base string, floor uint16) (*version, error) {
	if s.absent.has(base, floor) {
		return s.newVersion(base), nil
	}
	begin := s.stats.begin()
	v, err := s.find(ctx, base, floor)
	if err != nil {
		return nil, err
	}
	if v.isNowhere() {
		s.absent.add(base, floor)
	}
	err = s.judge(ctx, v)
	if err == nil && v.rec != nil {
		s.stats.since(sessionLoad, begin)
	}
	return v, err
}

// find is load without a look at the clock.
func (s *store) find(ctx context.Context, base string, floor uint16) (*version, error) {
	v := s.newVersion(base)
	node, second := v.roles()
	s.each(v, func(i int) bool { return i == node || i == second }, func(i int) { s.fetch(ctx, v, i, i == node) })
	v.home = node
	if !v.agreed(node, second, floor) {
		if err := s.search(ctx, v, floor); err != nil {
			return nil, err
		}
		if v.rec != nil {
			s.stats.missing(v, node, second)
			s.mend(ctx, v)
		}
	}
	if v.rec != nil {
		s.date(ctx, v)
	}
	return v, nil
}

// search asks all places that have not answered with a value, and adopts the
// newest copy, if there is one. A node that has left meanwhile cannot tell: the
// places that sessions have by then are asked.
func (s *store) search(ctx context.Context, v *version, floor uint16) error {
	s.each(v, func(i int) bool { return v.places[i].unread() }, func(i int) { s.fetch(ctx, v, i, true) })
	if (v.newest(floor) < 0 || v.abandoned(floor)) && s.reachAll(ctx, v) || v.missing(floor) && s.reach(ctx, v) {
		s.each(v, func(i int) bool { return v.places[i].known == silent && v.places[i].server.up() }, func(i int) { s.fetch(ctx, v, i, true) })
	}
	for i := range v.n {
		if errors.Is(v.places[i].spoilt, errNewerFormat) {
			return fmt.Errorf("%w: %w", ErrDecode, errNewerFormat)
		}
	}
	if i := v.newest(floor); i >= 0 && !v.abandoned(floor) {
		v.adopt(i)
		return nil
	}
	v.rec, v.source = nil, -1
	switch err := v.failure(); {
	case err == nil:
		return nil
	case v.on != s.topology():
		s.reseat(v)
		return s.search(ctx, v, floor)
	default:
		return unavailable(err)
	}
}

// each runs f for the places that are wanted, at the same time.
func (s *store) each(v *version, wanted func(i int) bool, f func(i int)) {
	var group sync.WaitGroup
	last := -1
	for i := range v.n {
		if !wanted(i) {
			continue
		}
		if other := last; other >= 0 {
			group.Go(func() { f(other) }) // ends with its operation, which the client bounds; waited for below
		}
		last = i
	}
	if last >= 0 {
		f(last)
	}
	group.Wait()
}

// reach makes sure that no place is taken for down that is back, before something
// is decided without it. It tells whether one may be back: those that did
// not answer a moment ago are not tried.
func (s *store) reach(ctx context.Context, v *version) bool {
	return s.reachThose(ctx, v, (*server).cheap)
}

// reachAll is reach for all that are down.
func (s *store) reachAll(ctx context.Context, v *version) bool {
	return s.reachThose(ctx, v, func(*server) bool { return true })
}

func (s *store) reachThose(ctx context.Context, v *version, wanted func(*server) bool) bool {
	changed := false
	s.each(v, func(i int) bool {
		h := &v.places[i]
		up := h.server.client.Up()
		down := !up && time.Since(h.hung) > hungPause && wanted(h.server)
		changed = changed || down || up && h.known == silent
		return down
	}, func(i int) { v.places[i].server.reach(ctx) })
	return changed
}

// fetch asks the node of a place for its copy, with or without the value.
func (s *store) fetch(ctx context.Context, v *version, i int, value bool) {
	h := &v.places[i]
	read := h.server.client.HeadAndTouch
	if value {
		read = h.server.client.GetAndTouch
	}
	idle := s.maxInactive
	if v.rec != nil {
		idle = v.rec.maxInactive
	}
	item, err := read(ctx, v.key, ttl(idle))
	if err != nil && retryable(ctx, err) {
		item, err = read(ctx, v.key, ttl(idle))
	}
	h.rec, h.spoilt, h.err = nil, nil, nil
	switch {
	case err == nil:
		h.known, h.item = present, item
		h.item.Value = nil
		if value {
			h.rec, h.spoilt = s.decode(v, h.raw(), item.Value)
		}
	case errors.Is(err, memcache.ErrMiss):
		h.known = absent
	default:
		h.known, h.err = silent, err
		h.noteHung(err)
	}
}

// noteHung takes note of a node that did not answer in time, as opposed to one
// that is known to be down.
func (h *replica) noteHung(err error) {
	if isUncertain(err) {
		h.hung = time.Now()
	}
}

// retryable tells whether a read that failed may succeed at once: its connection
// died under it, say, and the server is back already.
func retryable(ctx context.Context, err error) bool {
	var refusal *memcache.ServerError
	return ctx.Err() == nil && !errors.Is(err, memcache.ErrMiss) && !errors.Is(err, memcache.ErrNodeDown) &&
		!errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &refusal)
}

// decode reads a stored value. A value of another session is none of ours: it
// was put under this key by somebody else.
func (s *store) decode(v *version, at stamp, value []byte) (*record, error) {
	defer s.stats.since(sessionDeserialization, s.stats.begin())
	plain, err := s.seal.open(v.sealedAs(at), value)
	if err != nil {
		return nil, err
	}
	rec, err := parseRecord(plain)
	if err == nil && rec.base != v.base {
		rec, err = nil, errNotRecord
	}
	return rec, err
}

// encode writes the stored value of a version's record.
func (s *store) encode(v *version, rec *record, at stamp) ([]byte, error) {
	return s.seal.seal(v.sealedAs(at), rec.appendTo(nil))
}

// sealedAs is what a sealed value is bound to: its key, and the stamp, which
// lies beside it for everybody to change.
func (v *version) sealedAs(at stamp) string {
	return v.key + "@" + strconv.FormatUint(uint64(at), 36)
}

// date makes out when the session was used last. The copies of one with a time-out
// of its own have got the general one by being read: they get their own.
func (s *store) date(ctx context.Context, v *version) {
	v.accessed = v.rec.accessed
	if left := v.places[v.source].item.Left; left > 0 && v.rec.maxInactive > 0 {
		v.accessed = time.Now().Add(min(0, left-ttl(v.rec.maxInactive)))
	}
	if v.rec.maxInactive == s.maxInactive {
		return
	}
	s.each(v, func(i int) bool { return v.places[i].known == present }, func(i int) {
		// Without an answer the item keeps the general time-out.
		h := &v.places[i]
		h.server.client.Touch(ctx, v.key, ttl(v.rec.maxInactive))
	})
}

// judge looks at the clock: a session that has been idle for too long, or lived
// for too long, is ended here, because reading it has given it time to live.
func (s *store) judge(ctx context.Context, v *version) error {
	if v.rec == nil || v.rec.dead != alive || !v.tooOld(time.Now()) {
		return nil
	}
	err := s.end(ctx, v, invalidated)
	v.rec = nil
	if errors.Is(err, ErrInvalidated) {
		return nil
	}
	return err
}

// tooOld tells whether the session's time is over. What is left to an item is
// told in whole seconds: only what is surely over is.
func (v *version) tooOld(now time.Time) bool {
	return v.rec.outlived(now) || v.places[v.source].item.Left > 0 && v.rec.maxInactive > 0 && now.Sub(v.accessed) > v.rec.maxInactive
}

// outlived tells whether the session has lived as long as it may.
func (r *record) outlived(now time.Time) bool {
	return r.maxLife > 0 && now.Sub(r.created) >= r.maxLife
}

// fits refuses what memcached would not take.
func (r *record) fits() error {
	if len(r.attrs) > maxAttrs {
		return fmt.Errorf("%w: it has %d attributes of at most %d", ErrTooLarge, len(r.attrs), maxAttrs)
	}
	if r.sizeBound() > maxStored {
		return tooLarge(r)
	}
	return nil
}

// confirm tells whether the copies are still v, and gives them new time to live.
func (s *store) confirm(ctx context.Context, v *version) bool {
	defer s.stats.since(confirmation, s.stats.begin())
	s.reseat(v)
	probe := s.newVersion(v.base)
	probe.rec = v.rec // whose time-out is the one to give
	node, second := probe.roles()
	if node < 0 {
		return false
	}
	s.each(probe, func(i int) bool { return i == node || i == second }, func(i int) { s.fetch(ctx, probe, i, false) })
	for i := range min(probe.n, v.n) {
		v.places[i].hung = probe.places[i].hung
	}
	same := func(i int) bool {
		return probe.places[i].known == present && probe.places[i].raw() == v.stamp
	}
	return node == v.home && same(node) && (second < 0 || same(second))
}

// holders returns the ids of the nodes that have the session's newest version,
// the session's node first.
func (s *store) holders(ctx context.Context, base string) ([]string, error) {
	v, err := s.find(ctx, base, 0)
	if err != nil || v.rec == nil {
		return nil, err
	}
	ids := make([]string, 0, v.n)
	for i := range v.n {
		switch h := &v.places[i]; {
		case h.known != present || h.raw() != v.stamp:
		case h.server.name == v.rec.node: // what the cookie says; by now another may be due
			ids = slices.Insert(ids, 0, h.server.id)
		default:
			ids = append(ids, h.server.id)
		}
	}
	return ids, nil
}
