package msm

import (
	"errors"
	"time"
)

// Limits of a stored session. Its size is bounded by what memcached takes for
// one item, not here.
const (
	maxAttrs       = 256
	maxAttrNameLen = 64 // bytes
	maxNonces      = 8
)

// Errors of parseRecord.
var (
	errNewerFormat = errors.New("msm: stored session was written by a newer release: update this instance; the value is left alone")
	errNotRecord   = errors.New("msm: stored value is not a session of ours")
)

// tombstone says how a session ended.
type tombstone uint8

const (
	alive tombstone = iota
	invalidated
	renewed // the successor is never stored
)

// record is one stored session. Times have millisecond precision.
type record struct {
	base        string
	created     time.Time
	accessed    time.Time     // of the last store
	maxInactive time.Duration // negative: never expires
	maxLife     time.Duration // from created on; 0: no bound
	nonces      [maxNonces]uint64
	dead        tombstone
	attrs       []attr // sorted by name, no name twice
	unknown     []byte // frames of later releases, as they were read
}

// attr is one attribute, encoded.
type attr struct {
	name  string
	codec byte // which transcoder encoded data
	data  []byte
}

// appendTo appends the stored form of r to dst.
func (r *record) appendTo(dst []byte) []byte { return dst }

// parseRecord reads what appendTo wrote. The record's attributes are slices
// of data, which the caller must not change any more. errNewerFormat and
// errNotRecord are its errors, wrapped.
func parseRecord(data []byte) (*record, error) { return nil, errNotRecord }
