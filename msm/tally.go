package msm

import (
	"errors"
	"slices"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// tally counts a request whose handler has returned or panicked.
func (s *Session) tally() {
	stats := s.core.stats
	if stats == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.hold == nil && len(s.candidates) == 0 && !s.ended:
		stats.count(requestsWithoutSession)
		return
	case !s.loaded:
		stats.count(noSessionAccess)
	case s.stored, s.hold == nil:
	case !s.used:
		stats.count(noAttributesAccess)
	default:
		stats.count(noSessionModification)
	}
	stats.count(requestsWithSession)
}

// settled counts an attempt to store batches on top of a version, which began
// at that time.
func (c *counters) settled(was *version, in *intent, begin time.Time, err error) {
	switch {
	case c == nil, !in.commits(), !was.fresh && in.done(was.rec): // only the second copy, or nothing
	case errors.Is(err, ErrInvalidated): // nothing was to be stored any more
	case err != nil:
		c.count(backupFailures)
	default:
		c.since(backup, begin)
	}
}

// merged counts a commit between which and the record that its request had seen
// others have changed the session.
func (c *counters) merged(seen, stored *record, n nonce) {
	if c == nil || len(seen.nonces) == 0 { // never stored before
		return
	}
	i := slices.Index(stored.nonces, n) + 1
	if i < len(stored.nonces) && stored.nonces[i] != seen.nonces.last() {
		c.count(merges)
	}
}

// put counts an attempt to store a value on a node.
func (c *counters) put(size int, begin time.Time, err error) {
	if c == nil {
		return
	}
	c.since(memcachedUpdate, begin)
	switch {
	case err == nil:
		c.stored(size)
	case errors.Is(err, memcache.ErrCASConflict), errors.Is(err, memcache.ErrNotStored):
		c.count(conflicts)
	}
}

// missing counts the copies that should be there and are not.
func (c *counters) missing(v *version, places ...int) {
	if c == nil {
		return
	}
	for _, i := range places {
		if i >= 0 && v.places[i].known == absent {
			c.count(missingCopies)
		}
	}
}

// after is what the time counts as that spreading a version takes.
func (in *intent) after() measure {
	switch {
	case in.end != alive:
		return afterDelete
	case in.commits():
		return afterBackup
	}
	return afterLoad
}
