package msm

import "fmt"

// Transcoder turns the value of one attribute into bytes and back.
// Implementations must be safe for concurrent use. What the built-in ones have
// written stays readable when Config.Transcoder changes to another built-in
// one; of a Transcoder of your own, only what it wrote itself.
type Transcoder interface {
	// Encode returns v as bytes, which become the caller's. What v refers to
	// may change as soon as Encode has returned.
	Encode(v any) ([]byte, error)

	// Decode stores the value in what into points to, which should be new:
	// after an error its content is undefined. It keeps no part of data, and
	// refuses what Encode cannot have written: whoever can write to memcached
	// chooses the bytes, unless Config.ValueKeys is set. The type comes from
	// into, never from data.
	Decode(data []byte, into any) error
}

// What decoding may cost, whoever wrote the bytes: sessions.md, 3.5.
const (
	maxDecodedSize  = 4 << 20 // bytes of one attribute, decompressed
	maxDecodedDepth = 64      // of nested objects, arrays or elements
)

// checkEncodedSize refuses what Decode would not take.
func checkEncodedSize(v any, size int) error {
	if size > maxDecodedSize {
		return fmt.Errorf("%w: a %T takes %d bytes, of at most %d", ErrTooLarge, v, size, maxDecodedSize)
	}
	return nil
}

// Codec marks, as they are stored beside every attribute. They never change
// their meaning.
const (
	codecCustom     = 0 // Config.Transcoder was none of ours
	codecJSON       = 1
	codecGob        = 2
	codecXML        = 3
	codecCompact    = 4
	codecCompressed = 0x80 // added to the mark of the transcoder inside Compressed
)

// codecs encodes with the configured transcoder, and decodes what it or any
// built-in one has written. It is immutable and safe for concurrent use.
type codecs struct {
	configured Transcoder
	mark       byte       // of configured
	custom     Transcoder // configured, or what it compresses, if that is none of ours
	unpacker   *unpacker
}

// newCodecs returns the codecs of a manager; nil means JSON.
func newCodecs(configured Transcoder) codecs {
	if configured == nil {
		configured = JSON
	}
	c := codecs{configured: configured, mark: markOf(configured)}
	inner := configured
	if packed, ok := configured.(*compressed); ok {
		inner, c.unpacker = packed.inner, packed.unpacker
	} else {
		c.unpacker = newUnpacker()
	}
	if markOf(inner) == codecCustom {
		c.custom = inner
	}
	return c
}

func markOf(t Transcoder) byte {
	switch t := t.(type) {
	case jsonTranscoder:
		return codecJSON
	case gobTranscoder:
		return codecGob
	case xmlTranscoder:
		return codecXML
	case compactTranscoder:
		return codecCompact
	case *compressed:
		return markOf(t.inner) | codecCompressed
	}
	return codecCustom
}

// encode returns the value's bytes, and the mark that decode needs.
func (c codecs) encode(v any) (codec byte, data []byte, err error) {
	if own, ok := c.configured.(*converting); ok {
		if _, ok := own.of(v); !ok { // whoever has no converters can read it
			data, err = own.others.Encode(v)
			return markOf(own.others), data, err
		}
	}
	data, err = c.configured.Encode(v)
	return c.mark, data, err
}

// decode reads what the transcoder marked codec has written.
func (c codecs) decode(codec byte, data []byte, into any) error {
	t := c.written(codec &^ codecCompressed)
	if t == nil {
		return fmt.Errorf("msm: the attribute was encoded by transcoder %d, which is not configured here", codec)
	}
	if codec&codecCompressed != 0 {
		plain, err := c.unpacker.unpack(data)
		if err != nil {
			return err
		}
		data = plain
	}
	return t.Decode(data, into)
}

// written returns the transcoder with that mark, or nil.
func (c codecs) written(mark byte) Transcoder {
	switch mark {
	case codecJSON:
		return JSON
	case codecGob:
		return Gob
	case codecXML:
		return XML
	case codecCompact:
		return Compact
	case codecCustom:
		return c.custom
	}
	return nil
}
