package msm

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// fingerprintLen is how many bytes of the MAC are shown: 40 bits tell the
// sessions of a process apart and lead back to none (sessions.md, SR-62).
const fingerprintLen = 5

// fingerprinter names sessions for people who must not have them. Its key lives
// as long as it does, and is nowhere else.
type fingerprinter struct{ key []byte }

func newFingerprinter() fingerprinter {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails: without randomness the process ends
	return fingerprinter{key}
}

// of returns the fingerprint of a session.
func (f fingerprinter) of(base string) string {
	mac := hmac.New(sha256.New, f.key)
	mac.Write([]byte(base))
	return hex.EncodeToString(mac.Sum(nil)[:fingerprintLen])
}
