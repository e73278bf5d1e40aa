package msm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
)

const (
	valueKeyLen   = 32 // AES-256
	valueKeyIDLen = 4
)

// Labels of what is derived from a value key: no derived key serves two ends.
const (
	labelKeyID = "msm value key id"
	labelValue = "msm value of "
)

// sealer encrypts and authenticates stored values, or passes them through if
// it has no keys. It is safe for concurrent use.
//
// A sealed value is the format, the id of the key, a random nonce of 96 bits,
// and the record, encrypted by AES-256-GCM. Each session has a key of its own,
// derived from the value key and the session's storage key: the 2^32 values
// that are safe under one key and random nonces are then one session's, and a
// value put under another session's key cannot be opened.
type sealer struct {
	keys []valueKey // immutable; the first seals, all open

	// next is that of the Config that was put in force after this one, nil if there
	// is none. Requests that began before store under its keys, and open what others
	// have stored under them: what neither could read it would take for damaged.
	next atomic.Pointer[sealer]
}

type valueKey struct {
	id     [valueKeyIDLen]byte
	secret [valueKeyLen]byte
}

// newSealer copies the keys of Config.ValueKeys. The error joins every
// problem found.
func newSealer(keys [][]byte) (*sealer, error) {
	s := &sealer{keys: make([]valueKey, len(keys))}
	var problems []error
	report := func(i int, format string, args ...any) {
		problems = append(problems, fmt.Errorf("msm: Config.ValueKeys[%d]: %s", i, fmt.Sprintf(format, args...)))
	}
	for i, key := range keys {
		switch {
		case len(key) != valueKeyLen:
			report(i, "has %d bytes: use %d random ones", len(key), valueKeyLen)
			continue
		case bytes.Equal(key, make([]byte, valueKeyLen)):
			report(i, "is all zeros: use random bytes")
		}
		for j, other := range keys[:i] {
			if bytes.Equal(key, other) {
				report(i, "is the same as ValueKeys[%d]: leave one out", j)
			}
		}
		id, err := hkdf.Expand(sha256.New, key, labelKeyID, valueKeyIDLen)
		if err != nil {
			report(i, "%v", err)
			continue
		}
		copy(s.keys[i].id[:], id)
		copy(s.keys[i].secret[:], key)
	}
	return s, errors.Join(problems...)
}

// newest is the last one in force that has keys, or s.
func (s *sealer) newest() *sealer {
	for next := s.next.Load(); next != nil; next = next.next.Load() {
		if len(next.keys) > 0 {
			s = next
		}
	}
	return s
}

// seal returns the stored form of a record. Without keys it is plain itself.
func (s *sealer) seal(storageKey string, plain []byte) ([]byte, error) {
	s = s.newest()
	if len(s.keys) == 0 {
		return plain, nil
	}
	key := &s.keys[0]
	gcm, err := key.forSession(storageKey)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, 0, 2+valueKeyIDLen+len(plain)+gcm.Overhead())
	sealed = append(sealed, formatMark, formatSealed)
	sealed = append(sealed, key.id[:]...)
	return gcm.Seal(sealed, nil, plain, sealedWith(storageKey)), nil
}

// open returns the record inside a stored value. Without keys that is data
// itself; with keys, what is not sealed is refused, whatever it holds. Its
// errors wrap errNewerFormat or errNotRecord.
func (s *sealer) open(storageKey string, data []byte) ([]byte, error) {
	format, rest, err := cutFormat(data)
	switch {
	case err != nil:
		return nil, err
	case format == formatPlain && len(s.keys) == 0:
		return data, nil
	case format == formatPlain:
		return nil, fmt.Errorf("%w that is sealed, as Config.ValueKeys demands", errNotRecord)
	case len(rest) < valueKeyIDLen:
		return nil, fmt.Errorf("%w: cut short", errNotRecord)
	}
	id, sealed := rest[:valueKeyIDLen], rest[valueKeyIDLen:]
	for ; s != nil; s = s.next.Load() {
		if plain, ok := s.unlock(storageKey, id, sealed); ok {
			return plain, nil
		}
	}
	return nil, fmt.Errorf("%w that a key of Config.ValueKeys opens", errNotRecord)
}

// unlock opens what one of the keys with that id has sealed. Two may have the
// same: the right one decides.
func (s *sealer) unlock(storageKey string, id, sealed []byte) (plain []byte, ok bool) {
	for i := range s.keys {
		key := &s.keys[i]
		if !bytes.Equal(key.id[:], id) {
			continue
		}
		gcm, err := key.forSession(storageKey)
		if err != nil {
			return nil, false
		}
		if plain, err := gcm.Open(nil, nil, sealed, sealedWith(storageKey)); err == nil {
			return plain, true
		}
	}
	return nil, false
}

// forSession derives the key of one session.
func (k *valueKey) forSession(storageKey string) (cipher.AEAD, error) {
	derived, err := hkdf.Expand(sha256.New, k.secret[:], labelValue+storageKey, valueKeyLen)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealedWith is what a sealed value is bound to: its format and its place.
func sealedWith(storageKey string) []byte {
	return append([]byte{formatMark, formatSealed}, storageKey...)
}
