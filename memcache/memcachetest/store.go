package memcachetest

import (
	"iter"
	"sync"
	"time"
)

// outcome is what became of a command that changes an item.
type outcome uint8

const (
	stored outcome = iota
	notStored
	exists
	notFound
	notNumber
	tooLarge
)

// mode tells the storage commands apart.
type mode uint8

const (
	modeSet mode = iota
	modeAdd
	modeReplace
	modeAppend
	modePrepend
	modeCAS // store only if the item is there and its CAS is the given one
)

// counters are what `stats` tells of a store.
type counters struct {
	cmdGet, cmdSet, cmdFlush, cmdTouch, cmdMeta int64
	getHits, getMisses                          int64
	deleteHits, deleteMisses                    int64
	incrHits, incrMisses, decrHits, decrMisses  int64
	casHits, casMisses, casBadval               int64
	touchHits, touchMisses                      int64
	evictions, totalItems                       int64
}

// store holds the items of one server.
type store struct {
	maxItem   int // largest item, as itemSize counts
	maxMemory int // all items together; the least recently used go first

	mu      sync.Mutex // guards what follows
	items   map[string]*item
	lru     item // head of a ring: lru.next was used last
	size    int
	lastCAS uint64
	flushAt time.Time // zero: no flush_all is due
	stats   counters
}

func newStore(maxItem, maxMemory int) *store {
	s := &store{maxItem: maxItem, maxMemory: maxMemory, items: make(map[string]*item)}
	s.lru.prev, s.lru.next = &s.lru, &s.lru
	return s
}

// The following are called with mu held.

// lookup returns the live item of key, or nil.
func (s *store) lookup(key string, now time.Time) *item {
	if !s.flushAt.IsZero() && !now.Before(s.flushAt) {
		s.clear()
	}
	it := s.items[key]
	if it != nil && it.expired(now) {
		s.unlink(it)
		return nil
	}
	return it
}

func (s *store) clear() {
	clear(s.items)
	s.lru.prev, s.lru.next = &s.lru, &s.lru
	s.size, s.flushAt = 0, time.Time{}
}

func (s *store) unlink(it *item) {
	delete(s.items, it.key)
	it.prev.next, it.next.prev = it.next, it.prev
	s.size -= it.size()
}

// link makes it the item of its key and gives it a new CAS.
func (s *store) link(it *item, now time.Time) {
	if old := s.items[it.key]; old != nil {
		s.unlink(old)
	}
	it.cas, it.accessed = s.nextCAS(), now
	s.items[it.key] = it
	s.size += it.size()
	s.stats.totalItems++
	s.pushFront(it)
	for s.size > s.maxMemory && s.lru.prev != it {
		s.unlink(s.lru.prev)
		s.stats.evictions++
	}
}

func (s *store) nextCAS() uint64 {
	s.lastCAS++
	return s.lastCAS
}

func (s *store) pushFront(it *item) {
	it.prev, it.next = &s.lru, s.lru.next
	it.prev.next, it.next.prev = it, it
}

// refresh makes it the item used last.
func (s *store) refresh(it *item) {
	it.prev.next, it.next.prev = it.next, it.prev
	s.pushFront(it)
}

// bump notes that it was fetched.
func (s *store) bump(it *item, now time.Time) {
	s.refresh(it)
	it.fetched, it.accessed = true, now
}

// live yields the items that have not expired, the last used first.
func (s *store) live(now time.Time) iter.Seq[*item] {
	return func(yield func(*item) bool) {
		for it := s.lru.next; it != &s.lru; {
			next := it.next // lookup unlinks what has expired
			if s.lookup(it.key, now) != nil && !yield(it) {
				return
			}
			it = next
		}
	}
}

// The following take the lock.

// get returns a copy of the item, as it was before this access.
func (s *store) get(key string) (item, bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.cmdGet++
	it := s.lookup(key, now)
	if it == nil {
		s.stats.getMisses++
		return item{}, false
	}
	s.stats.getHits++
	was := *it
	s.bump(it, now)
	return was, true
}

// touch gives the item a new expiry and returns a copy of it. To memcached's
// statistics it is no get, even if the value is wanted.
func (s *store) touch(key string, exptime int64) (item, bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.cmdTouch++
	it := s.lookup(key, now)
	if it == nil {
		s.stats.touchMisses++
		return item{}, false
	}
	s.stats.touchHits++
	it.expires = expiry(exptime, now)
	s.bump(it, now)
	return *it, true
}

// storing is one storage command.
type storing struct {
	mode       mode
	key        string
	value      []byte // the store keeps it
	flags      uint32
	exptime    int64
	cas        uint64 // 0: unconditional
	allowStale bool   // a lower cas stores the item as stale (protocol.txt, "Meta Set", flag I)
	binaryKey  bool
}

// put carries out a storage command; cas is that of the new item.
func (s *store) put(c storing) (cas uint64, o outcome) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.cmdSet++
	old := s.lookup(c.key, now)
	it := &item{
		key: c.key, value: c.value, flags: c.flags,
		expires: expiry(c.exptime, now), binaryKey: c.binaryKey,
	}
	if o := s.admit(&c, old, it); o != stored {
		return 0, o
	}
	if it.size() > s.maxItem {
		return 0, s.outgrown(&c, old)
	}
	s.link(it, now)
	return it.cas, stored
}

// admit decides whether a storage command may go on; it completes it from old.
func (s *store) admit(c *storing, old, it *item) outcome {
	switch c.mode {
	case modeAdd:
		if old != nil {
			s.refresh(old) // protocol.txt, "Storage commands": add promotes the item
			return notStored
		}
		return stored
	case modeReplace, modeAppend, modePrepend:
		if old == nil {
			return notStored
		}
	case modeCAS:
		if old == nil {
			s.stats.casMisses++
			return notFound
		}
	}
	if old != nil && (c.mode == modeCAS || c.cas != 0) {
		switch {
		case c.cas == old.cas:
			s.stats.casHits++
		case c.allowStale && c.mode == modeCAS && c.cas != 0 && c.cas < old.cas:
			it.expires, it.stale, it.won = old.expires, true, old.won
		default:
			s.stats.casBadval++
			return exists
		}
	}
	switch c.mode {
	case modeAppend:
		it.value = concat(old.value, c.value)
	case modePrepend:
		it.value = concat(c.value, old.value)
	default:
		return stored
	}
	it.flags, it.expires, it.binaryKey = old.flags, old.expires, old.binaryKey
	return stored
}

// outgrown refuses a command whose item turned out too large only now: because
// of its flags, or because of what it was appended to.
func (s *store) outgrown(c *storing, old *item) outcome {
	switch c.mode {
	case modeAppend, modePrepend:
		return notStored // memcached says no more
	case modeSet:
		if old != nil {
			s.unlink(old) // as in refuse
		}
	}
	return tooLarge
}

// concat makes a new slice: values are never changed in place.
func concat(a, b []byte) []byte {
	return append(append(make([]byte, 0, len(a)+len(b)), a...), b...)
}

// refuse notes a storage command that was too large: memcached deletes the old
// item of a refused set, so that nobody reads what the writer holds for gone.
func (s *store) refuse(m mode, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.cmdSet++
	if it := s.items[key]; it != nil && m == modeSet {
		s.unlink(it)
	}
}

// condition is the CAS that a deletion wants to see; the zero condition is none.
type condition struct {
	given bool
	cas   uint64
}

func (c condition) fits(it *item) bool { return !c.given || c.cas == it.cas }

// remove deletes an item.
func (s *store) remove(key string, cond condition) outcome {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.lookup(key, now)
	switch {
	case it == nil:
		s.stats.deleteMisses++
		return notFound
	case !cond.fits(it):
		s.stats.deleteMisses++
		return exists
	}
	s.stats.deleteHits++
	s.unlink(it)
	return stored
}

// flush empties the store, after a delay if exptime says so.
func (s *store) flush(exptime int64) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.cmdFlush++
	at := expiry(exptime, now)
	if exptime > 0 && at.After(now) {
		s.flushAt = at
		return
	}
	s.nextCAS() // memcached takes one, to tell what was stored before
	s.flushAt = time.Time{}
	if exptime <= 0 { // to memcached, dates in the past are no time at all
		s.clear()
	}
}

// peek returns a copy of an item without counting as an access.
func (s *store) peek(key string, now time.Time) (item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.lookup(key, now); it != nil {
		return *it, true
	}
	return item{}, false
}
