package memcachetest

import (
	"strconv"
	"time"
)

// counting is one command that increments or decrements.
type counting struct {
	key       string
	decr      bool
	delta     uint64
	cas       uint64 // 0: unconditional
	create    bool   // an absent item is created with initial and exptime
	initial   uint64
	exptime   int64
	touch     bool // newTTL becomes the expiry
	newTTL    int64
	binaryKey bool // the key came in base64
}

// add carries out a counting command; it is a copy of the item afterwards.
func (s *store) add(c counting) (it item, created bool, o outcome) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.lookup(c.key, now)
	s.countCounting(c.decr, old != nil)
	switch {
	case old == nil && !c.create:
		return item{}, false, notFound
	case old == nil:
		neu := &item{key: c.key, value: strconv.AppendUint(nil, c.initial, 10), expires: expiry(c.exptime, now), binaryKey: c.binaryKey}
		s.link(neu, now)
		return *neu, true, stored
	case c.cas != 0 && c.cas != old.cas:
		return item{}, false, exists
	}
	n, ok := parseUint(old.value)
	if !ok || len(old.value) == 0 {
		return item{}, false, notNumber
	}
	if c.decr {
		n -= min(n, c.delta) // stops at 0
	} else {
		n += c.delta // wraps
	}
	// The text never gets shorter: memcached overwrites it in place.
	text := strconv.AppendUint(make([]byte, 0, max(len(old.value), len("18446744073709551615"))), n, 10)
	for len(text) < len(old.value) {
		text = append(text, ' ')
	}
	s.size += len(text) - len(old.value)
	old.value, old.cas = text, s.nextCAS()
	if c.touch {
		old.expires = expiry(c.newTTL, now)
	}
	return *old, false, stored
}

func (s *store) countCounting(decr, hit bool) {
	switch {
	case decr && hit:
		s.count.decrHits++
	case decr:
		s.count.decrMisses++
	case hit:
		s.count.incrHits++
	default:
		s.count.incrMisses++
	}
}
