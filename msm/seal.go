package msm

// sealer encrypts and authenticates stored values, or passes them through
// when it has no keys. It is immutable and safe for concurrent use.
type sealer struct {
}

// newSealer checks the keys: each has 32 bytes, the first encrypts, all
// decrypt, none means no sealing. They are copied.
func newSealer(keys [][]byte) (*sealer, error) { return &sealer{}, nil }

// seal appends the stored form of plain to dst.
func (s *sealer) seal(dst []byte, storageKey string, plain []byte) []byte {
	return append(dst, plain...)
}

// open returns the plain value, which may share memory with data. More than
// limit bytes are refused. A sealer with keys refuses what is not sealed.
func (s *sealer) open(storageKey string, data []byte, limit int) ([]byte, error) { return data, nil }
