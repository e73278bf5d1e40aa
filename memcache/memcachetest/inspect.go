package memcachetest

import (
	"bytes"
	"time"
)

// Item is what a server holds under one key.
type Item struct {
	Key     string
	Value   []byte
	Flags   uint32
	Expires time.Time // zero: never
	CAS     uint64    // unique among the items of one server
	Stale   bool      // marked by a meta delete with flag I
}

func (it *item) export() Item {
	return Item{it.key, bytes.Clone(it.value), it.flags, it.expires, it.cas, it.stale}
}

// Get returns the item of a key, and whether there is one. It does not count as
// an access: statistics and the order of eviction stay as they are. The value is
// a copy. As Items and Len do, it tells of a closed server what that held last.
func (s *Server) Get(key string) (Item, bool) {
	it, ok := s.store.peek(key, time.Now())
	return it.export(), ok
}

// SetItem puts an item under its key, as a client's set would, whatever limits
// the server has; CAS and Stale are ignored. The value is copied.
func (s *Server) SetItem(it Item) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.link(&item{key: it.Key, value: bytes.Clone(it.Value), flags: it.Flags, expires: it.Expires}, time.Now())
}

// Delete removes the item of a key, as if it had been evicted, and tells whether
// it was there.
func (s *Server) Delete(key string) bool {
	st := s.store
	st.mu.Lock()
	defer st.mu.Unlock()
	it := st.lookup(key, time.Now())
	if it != nil {
		st.unlink(it)
	}
	return it != nil
}

// Items returns copies of all items that have not expired, the last used first.
func (s *Server) Items() []Item {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var items []Item
	for it := range s.store.live(time.Now()) {
		items = append(items, it.export())
	}
	return items
}

// Len returns the number of items that have not expired.
func (s *Server) Len() int {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	n := 0
	for range s.store.live(time.Now()) {
		n++
	}
	return n
}

// Flush removes all items, as a restart does.
func (s *Server) Flush() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.clear()
}
