package memcache

import (
	"math"
	"time"

	"github.com/seed99545744/msm/internal/node"
)

// Item is a key with its value, to be stored or as it was found.
type Item struct {
	// Key is 1 to 250 bytes, none of them a blank or a control character.
	Key string

	// Value may be empty; nil is the same to servers. Stores do not keep it, and
	// that of an item that was found is the caller's.
	Value []byte

	// Flags are kept with the value, for the user's own purposes.
	Flags uint32

	// TTL is how long the item is to live, from now: 0 for ever; negative: it is
	// expired at once. Servers count in seconds: fractions are rounded up, and an
	// item may go up to a second early. More than 30 days are sent as a date, by
	// this machine's clock; servers know none after January 2038.
	//
	// No protocol returns it: it is 0 in items that were found. See Left.
	TTL time.Duration

	// Left is how long the item had still to live when GetAndTouch or
	// HeadAndTouch found it, before they gave it a new TTL, in whole seconds.
	// Negative: for ever. 0: not known; only meta commands tell it (Meta, and Text
	// where the server has them). Stores ignore it.
	Left time.Duration

	// CAS numbers the versions of an item. It comes from reads, and from stores
	// where the protocol tells it (Meta, Binary, Text with meta commands; else they
	// set it to 0).
	CAS uint64

	origin node.Origin // of CAS
}

// maxRelative is the longest time that servers take as a time to live. Larger
// numbers are dates (protocol.txt, "Expiration times").
const maxRelative = 60 * 60 * 24 * 30

// expired is an exptime for an item that is expired at once.
const expired = -1

// exptime is ttl as it goes over the wire.
func exptime(ttl time.Duration) int64 {
	switch {
	case ttl == 0:
		return 0
	case ttl < 0:
		return expired
	}
	if seconds := ceil(int64(ttl/time.Second), int64(ttl%time.Second)); seconds <= maxRelative {
		return seconds
	}
	date := time.Now().Add(ttl)
	return min(ceil(date.Unix(), int64(date.Nanosecond())), math.MaxInt32)
}

// ceil rounds seconds and a fraction up.
func ceil(seconds, fraction int64) int64 {
	if fraction > 0 {
		seconds++
	}
	return seconds
}
