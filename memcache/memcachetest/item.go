package memcachetest

import "time"

// item is one entry. Its value is never changed in place: a copy of the struct
// stays what it was when the lock is gone.
type item struct {
	key        string
	value      []byte
	flags      uint32
	expires    time.Time // zero: never
	cas        uint64
	accessed   time.Time
	fetched    bool // since it was stored
	stale      bool // protocol.txt, "Meta Delete", flag I
	won        bool // a client was told W and is expected to store anew
	binaryKey  bool // stored under a base64 key (flag b): the same key is told in base64
	prev, next *item
}

// What memcached counts for an item beside key and value: its header, the CAS,
// the ends of key and value, and client flags that are not 0.
const (
	itemOverhead  = 48 + 8 + 1 + 2
	flagsOverhead = 4
)

func itemSize(keyLen, valueLen int, flags uint32) int {
	n := itemOverhead + keyLen + valueLen
	if flags != 0 {
		n += flagsOverhead
	}
	return n
}

func (it *item) size() int { return itemSize(len(it.key), len(it.value), it.flags) }

func (it *item) expired(now time.Time) bool {
	return !it.expires.IsZero() && !now.Before(it.expires)
}

// ttl returns the seconds left, rounded up; -1 means that it never expires.
func (it *item) ttl(now time.Time) int64 {
	if it.expires.IsZero() {
		return -1
	}
	return max(0, int64((it.expires.Sub(now)+time.Second-1)/time.Second))
}

// maxRelative is the longest exptime that is a number of seconds from now, 30
// days; greater ones are dates (protocol.txt, "Expiration times").
const maxRelative = 60 * 60 * 24 * 30

// expiry turns an exptime of the wire into the time when the item ends.
func expiry(exptime int64, now time.Time) time.Time {
	switch {
	case exptime == 0:
		return time.Time{}
	case exptime < 0:
		return now
	case exptime <= maxRelative:
		return now.Add(time.Duration(exptime) * time.Second)
	}
	return time.Unix(exptime, 0)
}
