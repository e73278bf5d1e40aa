package msm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of a stored session. Its size is bounded by what memcached takes for
// one item, not here.
const (
	maxAttrs       = 256
	maxAttrNameLen = 64 // bytes
)

// Errors of parseRecord and of sealer.open, wrapped.
var (
	// errNewerFormat: the value is somebody's good session. It must not be
	// overwritten, or going back to an older release would end it.
	errNewerFormat = errors.New("msm: the stored session was written by a newer release: update this instance")
	errNotRecord   = errors.New("msm: the stored value is not a session")
)

// Every stored value starts with a mark that starts no text (it is not valid
// in UTF-8), no JSON, no gzip, zstd or Java stream, and then its format.
const (
	formatMark   = 0xf5
	formatPlain  = 1 // frames, see appendTo
	formatSealed = 2 // an encrypted formatPlain, see sealer
)

// cutFormat returns the format of a stored value and what follows.
func cutFormat(data []byte) (format byte, rest []byte, err error) {
	switch {
	case len(data) < 2 || data[0] != formatMark || data[1] == 0:
		return 0, nil, errNotRecord
	case data[1] > formatSealed:
		return 0, nil, fmt.Errorf("%w: it has format %d", errNewerFormat, data[1])
	}
	return data[1], data[2:], nil
}

// tombstone says how a session ended. Every kind but alive is an end, those
// that later releases may add included.
type tombstone uint8

const (
	alive       tombstone = iota
	invalidated           // by Invalidate
	renewed               // by Renew; which session followed is never stored
)

// record is one stored session. Its times have millisecond precision; the
// zero Time stays the zero Time.
type record struct {
	base        string
	created     time.Time
	accessed    time.Time     // of the last store
	maxInactive time.Duration // negative: never expires
	maxLife     time.Duration // from created on; 0: no bound
	nonces      nonces
	node        string // the session's node at the last store; "": it has no name
	second      string // that of the second copy; "": there was none
	dead        tombstone
	attrs       []attr // sorted by name, no name twice; of a dead session none is stored
	unknown     []byte // whole frames of later releases, kept as they are
}

// attr is one attribute, encoded.
type attr struct {
	name  string // see checkAttrName
	codec byte   // which transcoder encoded data: see codecs
	data  []byte
}

// checkAttrName tells why a session cannot have an attribute of that name.
func checkAttrName(name string) error {
	if name == "" || len(name) > maxAttrNameLen {
		return fmt.Errorf("msm: attribute name of %d bytes: use 1 to %d", len(name), maxAttrNameLen)
	}
	return nil
}

// Types of frames. A frame is its type, its payload's length as a varint, and
// the payload. Frames stand in the order of their types. A release keeps the
// frames it does not know; what it must not ignore needs a new format.
const (
	frameHead   = 1 // base, created, accessed, maxInactive, maxLife: varints of milliseconds
	frameNonces = 2 // 8 bytes each, big endian
	framePlace  = 3 // node, and after a comma second, if there is one
	frameEnd    = 4 // tombstone
	frameAttr   = 5 // codec, length of the name, name, data: once for each attribute
)

// appendTo appends the stored form of r to dst.
func (r *record) appendTo(dst []byte) []byte {
	dst = slices.Grow(dst, r.sizeBound())
	dst = append(dst, formatMark, formatPlain)
	dst = r.appendHead(dst)
	dst = r.appendNonces(dst)
	dst = r.appendPlace(dst)
	if r.dead != alive {
		dst = append(dst, frameEnd, 1, byte(r.dead))
		return append(dst, r.unknown...)
	}
	for _, a := range r.attrs {
		dst = append(dst, frameAttr)
		dst = binary.AppendUvarint(dst, uint64(2+len(a.name)+len(a.data)))
		dst = append(dst, a.codec, byte(len(a.name)))
		dst = append(dst, a.name...)
		dst = append(dst, a.data...)
	}
	return append(dst, r.unknown...)
}

// sizeBound is at least the length of what appendTo appends.
func (r *record) sizeBound() int {
	size := 2 + 2 + baseLen + 4*binary.MaxVarintLen64 + 3 + 8*len(r.nonces) + 3 + 1 + 2*maxNodeLen + 3 + len(r.unknown)
	for _, a := range r.attrs {
		size += 1 + binary.MaxVarintLen64 + 2 + len(a.name) + len(a.data)
	}
	return size
}

func (r *record) appendHead(dst []byte) []byte {
	var buf [baseLen + 4*binary.MaxVarintLen64]byte
	head := append(buf[:0], r.base...)
	head = binary.AppendUvarint(head, toMillis(r.created))
	head = binary.AppendUvarint(head, toMillis(r.accessed))
	head = binary.AppendVarint(head, r.maxInactive.Milliseconds())
	head = binary.AppendVarint(head, r.maxLife.Milliseconds())
	dst = append(dst, frameHead, byte(len(head))) // at most 72
	return append(dst, head...)
}

func (r *record) appendNonces(dst []byte) []byte {
	if len(r.nonces) == 0 {
		return dst
	}
	dst = append(dst, frameNonces)
	dst = binary.AppendUvarint(dst, uint64(8*len(r.nonces)))
	for _, n := range r.nonces {
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	return dst
}

func (r *record) appendPlace(dst []byte) []byte {
	if r.node == "" {
		return dst
	}
	size := len(r.node)
	if r.second != "" {
		size += 1 + len(r.second)
	}
	dst = append(dst, framePlace, byte(size)) // at most 65
	dst = append(dst, r.node...)
	if r.second != "" {
		dst = append(append(dst, ','), r.second...)
	}
	return dst
}

// maxMillis is the end of the year 9999, as far as times can be shown.
const maxMillis = 253402300799999

func toMillis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(min(max(t.UnixMilli(), 0), maxMillis))
}

// parseRecord reads what appendTo wrote, and nothing else: what it accepts,
// appendTo would write byte for byte. The attributes share memory with data,
// which must not be changed any more. What it allocates is bounded by data's
// length. Its errors wrap errNewerFormat or errNotRecord.
func parseRecord(data []byte) (*record, error) {
	format, rest, err := cutFormat(data)
	if err != nil {
		return nil, err
	}
	if format != formatPlain {
		return nil, fmt.Errorf("%w: it is sealed inside", errNotRecord)
	}
	r := new(record)
	if err := r.parseFrames(rest); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRecord, err)
	}
	return r, nil
}

func (r *record) parseFrames(rest []byte) error {
	attrs, err := countAttrs(rest)
	if err != nil {
		return err
	}
	r.attrs = make([]attr, 0, attrs)
	last := byte(0)
	for len(rest) > 0 {
		frame := rest
		var kind byte
		var payload []byte
		kind, payload, rest, _ = cutFrame(frame) // cannot fail: countAttrs has seen it
		if kind < last || kind == last && kind < frameAttr || last == 0 && kind != frameHead {
			return fmt.Errorf("frame %d stands after frame %d", kind, last)
		}
		last = kind
		if kind > frameAttr {
			if r.unknown == nil {
				r.unknown = slices.Clip(frame)
			}
			continue
		}
		if err := r.parseFrame(kind, payload); err != nil {
			return err
		}
	}
	if last == 0 {
		return errors.New("no frames")
	}
	return nil
}

// countAttrs walks over all frames, so that what is allocated for attributes
// is exact, and nothing is for a value cut short.
func countAttrs(rest []byte) (int, error) {
	n := 0
	for len(rest) > 0 {
		kind, _, next, ok := cutFrame(rest)
		if !ok {
			return 0, errors.New("cut short")
		}
		if kind == frameAttr {
			n++
		}
		rest = next
	}
	if n > maxAttrs {
		return 0, fmt.Errorf("%d attributes, of at most %d", n, maxAttrs)
	}
	return n, nil
}

// cutFrame splits off the first frame.
func cutFrame(data []byte) (kind byte, payload, rest []byte, ok bool) {
	if len(data) < 2 || data[0] == 0 {
		return 0, nil, nil, false
	}
	size, rest, ok := cutUvarint(data[1:])
	if !ok || size > uint64(len(rest)) {
		return 0, nil, nil, false
	}
	return data[0], rest[:size:size], rest[size:], true
}

// cutUvarint reads a varint in its shortest form; binary.Uvarint would take
// others too.
func cutUvarint(data []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(data)
	if n <= 0 || n > 1 && data[n-1] == 0 {
		return 0, nil, false
	}
	return v, data[n:], true
}

// cutVarint is cutUvarint for signed numbers, in encoding/binary's zigzag form.
func cutVarint(data []byte) (v int64, rest []byte, ok bool) {
	u, rest, ok := cutUvarint(data)
	return int64(u>>1) ^ -int64(u&1), rest, ok
}

func (r *record) parseFrame(kind byte, payload []byte) error {
	ok := false
	switch kind {
	case frameHead:
		ok = r.parseHead(payload)
	case frameNonces:
		ok = r.parseNonces(payload)
	case framePlace:
		ok = r.parsePlace(payload)
	case frameEnd:
		ok = len(payload) == 1 && payload[0] != byte(alive)
		if ok {
			r.dead = tombstone(payload[0])
		}
	case frameAttr:
		ok = r.dead == alive && r.parseAttr(payload)
	}
	if !ok {
		return fmt.Errorf("malformed frame %d", kind)
	}
	return nil
}

func (r *record) parseHead(p []byte) bool {
	if len(p) < baseLen {
		return false
	}
	r.base = string(p[:baseLen])
	fields := headReader{rest: p[baseLen:]}
	r.created, r.accessed = fields.time(), fields.time()
	r.maxInactive, r.maxLife = fields.duration(), fields.duration()
	return consistsOf(r.base, isBaseChar) && !fields.bad && len(fields.rest) == 0
}

// headReader reads one field after the other, and remembers that one was bad.
type headReader struct {
	rest []byte
	bad  bool
}

func (h *headReader) time() time.Time {
	ms, rest, ok := cutUvarint(h.rest)
	h.rest, h.bad = rest, h.bad || !ok || ms > maxMillis
	if h.bad || ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// duration reads milliseconds that do not overflow a Duration.
func (h *headReader) duration() time.Duration {
	ms, rest, ok := cutVarint(h.rest)
	d := time.Duration(ms) * time.Millisecond
	h.rest, h.bad = rest, h.bad || !ok || d.Milliseconds() != ms
	return d
}

func (r *record) parseNonces(p []byte) bool {
	if len(p) == 0 || len(p)%8 != 0 || len(p) > 8*maxNonces {
		return false
	}
	r.nonces = make(nonces, 0, len(p)/8)
	for ; len(p) > 0; p = p[8:] {
		r.nonces = append(r.nonces, nonce(binary.BigEndian.Uint64(p)))
	}
	return !slices.Contains(r.nonces, 0)
}

func (r *record) parsePlace(p []byte) bool {
	var two bool
	r.node, r.second, two = strings.Cut(string(p), ",")
	return validNodeID(r.node) && two == validNodeID(r.second)
}

func (r *record) parseAttr(p []byte) bool {
	if len(p) < 3 || p[1] == 0 || p[1] > maxAttrNameLen || int(p[1]) > len(p)-2 {
		return false
	}
	name := string(p[2 : 2+p[1]])
	if n := len(r.attrs); n > 0 && r.attrs[n-1].name >= name {
		return false
	}
	r.attrs = append(r.attrs, attr{name: name, codec: p[0], data: p[2+p[1]:]})
	return true
}
