package proto

import (
	"bytes"
	"errors"
	"math"
)

// MaxKey is the longest key in bytes (protocol.txt, "Protocol").
const MaxKey = 250

// Bounds of what a request may carry, tighter than those of the wire formats.
const (
	maxRequestValue = 1 << 30 // the largest item size that memcached can be started with (-I 1024m)
	maxPassword     = 1 << 10
)

// DefaultMaxValue is the MaxValue of a codec that names none: the largest item
// of a server that was started without -I.
const DefaultMaxValue = 1 << 20

// Errors of Check that no caller tells apart.
var (
	errExptime     = errors.New("memcache: expiration time must fit 32 bits; use a nearer date")
	errValue       = errors.New("memcache: value must not be over 1 GiB")
	errCredentials = errors.New("memcache: user name must be 1 to 250 bytes without blanks and control characters, password up to 1 KiB without NUL")
)

// maxValue is the limit that a codec's MaxValue stands for.
func maxValue(n int) uint64 {
	if n <= 0 {
		return DefaultMaxValue
	}
	return uint64(n)
}

// check refuses what no protocol can carry.
func check(req *Request) error {
	switch req.Op {
	case OpGet, OpGetAndTouch, OpSet, OpAdd, OpReplace, OpAppend, OpPrepend,
		OpDelete, OpTouch, OpIncrement, OpDecrement:
		return checkItem(req)
	case OpGetMulti:
		return checkKeys(req.Keys)
	case OpStats:
		if req.Key != "" && !validKey(req.Key) {
			return ErrKey
		}
		return nil
	case OpAuth:
		if !validKey(req.Key) || len(req.Value) > maxPassword || bytes.IndexByte(req.Value, 0) >= 0 {
			return errCredentials
		}
		return nil
	case OpVersion, OpFlushAll:
		return nil
	}
	return ErrUnsupported
}

// checkItem holds an exptime to what servers read: they keep 32 bits with a
// sign of any number, so that a date too far away would be another one.
func checkItem(req *Request) error {
	switch {
	case !validKey(req.Key):
		return ErrKey
	case req.Exptime < math.MinInt32 || req.Exptime > math.MaxInt32:
		return errExptime
	case len(req.Value) > maxRequestValue:
		return errValue
	}
	return nil
}

func checkKeys(keys []string) error {
	if len(keys) == 0 {
		return ErrKey
	}
	for _, key := range keys {
		if err := CheckKey(key); err != nil {
			return err
		}
	}
	return nil
}

// CheckKey returns ErrKey for what no Codec takes as the key of an item.
func CheckKey(key string) error {
	if !validKey(key) {
		return ErrKey
	}
	return nil
}

// validKey is stricter than the servers, which split lines at blanks and LF
// only: the other control characters are refused for what stands between.
func validKey(key string) bool {
	if len(key) == 0 || len(key) > MaxKey {
		return false
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] == 0x7f {
			return false
		}
	}
	return true
}
