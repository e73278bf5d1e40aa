package msm

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Compression is how Compressed compresses.
type Compression uint8

// The methods. Zstd makes values smallest, S2 costs least, Gzip is what other
// programs read.
const (
	Zstd Compression = iota
	S2
	Gzip
)

// Compressed returns a Transcoder that compresses what t encodes; nil means
// JSON. Values of fewer than min bytes stay as they are, and so do those of
// which compression would not save a tenth. Whatever c is, it reads all three,
// and so does a manager whose transcoder does not compress.
//
// When it reads it stops at 4 MiB, and at 100 times the compressed size for
// values of more than 64 KiB; values of more than 4 MiB are ErrTooLarge when they
// are encoded. Call it once: its coders are kept for its lifetime.
func Compressed(t Transcoder, c Compression, min int) Transcoder {
	if t == nil {
		t = JSON
	}
	if inner, ok := t.(*compressed); ok {
		t = inner.inner // compressing twice saves nothing
	}
	return &compressed{inner: t, method: c, min: min, packer: newPacker(), unpacker: newUnpacker()}
}

// compressed is safe for concurrent use.
type compressed struct {
	inner    Transcoder
	method   Compression
	min      int
	packer   *packer
	unpacker *unpacker
}

func (c *compressed) Encode(v any) ([]byte, error) {
	plain, err := c.inner.Encode(v)
	if err != nil {
		return nil, err
	}
	if err := checkEncodedSize(v, len(plain)); err != nil {
		return nil, err
	}
	if len(plain) < c.min {
		return prefixed(packedRaw, plain), nil
	}
	return c.packer.pack(c.method, plain)
}

func (c *compressed) Decode(data []byte, into any) error {
	plain, err := c.unpacker.unpack(data)
	if err != nil {
		return err
	}
	return c.inner.Decode(plain, into)
}

// The first byte of a packed value.
const (
	packedRaw  = 0
	packedZstd = 1
	packedS2   = 2
	packedGzip = 3
)

// Limits of unpacking (sessions.md, SR-39): a small value may consist of
// anything, a large one must not be much larger than it was when it came.
const (
	freeRatioSize = 64 << 10
	maxRatio      = 100
)

// unpackable tells whether packed bytes may become so many plain ones.
func unpackable(packed, plain uint64) bool {
	return plain <= maxDecodedSize && (plain <= freeRatioSize || plain <= maxRatio*packed)
}

// maxScratch is the largest buffer that is kept for the next value.
const maxScratch = 1 << 20

// packer compresses. It keeps its coders, and is safe for concurrent use.
type packer struct {
	zstd    func() (*zstd.Encoder, error)
	gzips   sync.Pool // of *gzip.Writer
	scratch sync.Pool // of *bytes.Buffer
}

func newPacker() *packer {
	return &packer{
		zstd: sync.OnceValues(func() (*zstd.Encoder, error) {
			// A single segment always tells its size, which unpack wants to
			// know. No checksum: the connection has one, ValueKeys another. A
			// window of 512 KiB holds any session but a giant, and keeps an
			// encoder, of which there is one for each CPU, small.
			return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithSingleSegment(true),
				zstd.WithEncoderCRC(false), zstd.WithWindowSize(512<<10))
		}),
		gzips:   sync.Pool{New: func() any { return gzip.NewWriter(nil) }},
		scratch: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// pack returns plain compressed, or as it is if that saves too little or makes
// it so small that unpack would take it for an attack.
func (p *packer) pack(method Compression, plain []byte) ([]byte, error) {
	scratch := p.scratch.Get().(*bytes.Buffer)
	scratch.Reset()
	scratch.Grow(s2.MaxEncodedLen(len(plain)))
	mark, packed, err := p.packInto(scratch, method, plain)
	if err != nil {
		return nil, err
	}
	if len(packed) <= len(plain)-len(plain)/10 && unpackable(uint64(len(packed)), uint64(len(plain))) {
		plain = packed
	} else {
		mark = packedRaw
	}
	result := prefixed(mark, plain)
	if scratch.Cap() <= maxScratch {
		p.scratch.Put(scratch)
	}
	return result, nil
}

// packInto compresses into scratch, whose bytes the result consists of.
func (p *packer) packInto(scratch *bytes.Buffer, method Compression, plain []byte) (mark byte, packed []byte, err error) {
	room := scratch.AvailableBuffer()
	switch method {
	case Zstd:
		encoder, err := p.zstd()
		if err != nil {
			return 0, nil, err
		}
		return packedZstd, encoder.EncodeAll(plain, room), nil
	case S2:
		return packedS2, s2.Encode(room[:cap(room)], plain), nil
	case Gzip:
		w := p.gzips.Get().(*gzip.Writer)
		defer p.gzips.Put(w)
		w.Reset(scratch)
		if _, err := w.Write(plain); err != nil {
			return 0, nil, err
		}
		if err := w.Close(); err != nil {
			return 0, nil, err
		}
		return packedGzip, scratch.Bytes(), nil
	}
	return 0, nil, fmt.Errorf("msm: unknown Compression %d: use Zstd, S2 or Gzip", method)
}
