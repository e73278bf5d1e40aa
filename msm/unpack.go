package msm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

var (
	errUnpack = errors.New("msm: malformed compressed value")
	errBomb   = errors.New("msm: compressed value grows beyond 4 MiB, or a hundred times its size")
)

// unpacker decompresses what a packer has written, whichever method it used.
// It keeps its coders, and is safe for concurrent use. What it allocates for a
// value is what the value claims to become, if it may become so large.
type unpacker struct {
	zstd  func() (*zstd.Decoder, error)
	gzips sync.Pool // of *gzipSource
}

type gzipSource struct {
	data   bytes.Reader
	reader gzip.Reader
	beyond [1]byte // to read the end
}

func newUnpacker() *unpacker {
	return &unpacker{
		zstd: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxDecodedSize), zstd.WithDecodeAllCapLimit(true),
				zstd.WithDecoderMaxWindow(maxDecodedSize), zstd.WithDecoderLowmem(true))
		}),
		gzips: sync.Pool{New: func() any { return new(gzipSource) }},
	}
}

// unpack returns the plain bytes, which may be part of data.
func (u *unpacker) unpack(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errUnpack
	}
	packed := data[1:]
	switch data[0] {
	case packedRaw:
		return packed, nil
	case packedZstd:
		return u.unpackZstd(packed)
	case packedS2:
		return unpackS2(packed)
	case packedGzip:
		return u.unpackGzip(packed)
	}
	return nil, errUnpack
}

// unpackZstd takes one frame that tells its size, as EncodeAll writes it.
func (u *unpacker) unpackZstd(packed []byte) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(packed); err != nil || header.Skippable || !header.HasFCS {
		return nil, errUnpack
	}
	if !unpackable(uint64(len(packed)), header.FrameContentSize) {
		return nil, errBomb
	}
	decoder, err := u.zstd()
	if err != nil {
		return nil, err
	}
	plain, err := decoder.DecodeAll(packed, make([]byte, 0, header.FrameContentSize))
	if err != nil || uint64(len(plain)) != header.FrameContentSize {
		return nil, errUnpack
	}
	return plain, nil
}

func unpackS2(packed []byte) ([]byte, error) {
	size, err := s2.DecodedLen(packed)
	if err != nil {
		return nil, errUnpack
	}
	if !unpackable(uint64(len(packed)), uint64(size)) {
		return nil, errBomb
	}
	plain, err := s2.Decode(make([]byte, size), packed)
	if err != nil {
		return nil, errUnpack
	}
	return plain, nil
}

// unpackGzip takes one member, whose last four bytes tell its size: RFC 1952,
// 2.3.1. If they lie, what is read is too long or too short.
func (u *unpacker) unpackGzip(packed []byte) ([]byte, error) {
	if len(packed) < 4 {
		return nil, errUnpack
	}
	size := binary.LittleEndian.Uint32(packed[len(packed)-4:])
	if !unpackable(uint64(len(packed)), uint64(size)) {
		return nil, errBomb
	}
	src := u.gzips.Get().(*gzipSource)
	defer u.gzips.Put(src)
	src.data.Reset(packed)
	if err := src.reader.Reset(&src.data); err != nil {
		return nil, errUnpack
	}
	src.reader.Multistream(false)
	plain := make([]byte, size)
	if _, err := io.ReadFull(&src.reader, plain); err != nil {
		return nil, errUnpack
	}
	// The end is where the checksum is compared.
	if n, err := src.reader.Read(src.beyond[:]); n != 0 || err != io.EOF || src.data.Len() > 0 {
		return nil, errUnpack
	}
	return plain, nil
}
