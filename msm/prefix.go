package msm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// defaultStorageKeyPrefix keeps the sessions of the applications on a host
// apart, and those of an application's versions.
const defaultStorageKeyPrefix = "context,webappVersion"

// maxPrefixLen leaves room for "lock:" and the hash in memcached's 250 bytes.
const maxPrefixLen = 200

// storagePrefix makes the prefix of a manager's storage keys from
// Config.StorageKeyPrefix ("" means the default) and what its tokens stand
// for: the values that are not blank, joined by colons, and an underscore; ""
// if all are blank. Tokens are not trimmed. All of it is as in MSM.
func storagePrefix(tokens, host, context, version string) (string, error) {
	if tokens == "" {
		tokens = defaultStorageKeyPrefix
	}
	var values []string
	for token := range strings.SplitSeq(tokens, ",") {
		value, err := prefixValue(token, host, context, version)
		if err != nil {
			return "", fmt.Errorf("msm: Config.StorageKeyPrefix: %w", err)
		}
		if strings.TrimSpace(value) != "" {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return "", nil
	}
	prefix := strings.Join(values, ":") + "_"
	if err := checkPrefix(prefix); err != nil {
		return "", fmt.Errorf("msm: Config.StorageKeyPrefix: %w", err)
	}
	return prefix, nil
}

func prefixValue(token, host, context, version string) (string, error) {
	if text, ok := strings.CutPrefix(token, "static:"); ok {
		if text == "" || strings.Contains(text, ":") {
			return "", fmt.Errorf("%q: static: takes a text without colon", token)
		}
		return text, nil
	}
	switch token {
	case "host":
		return host, nil
	case "host.hash":
		if host == "" {
			return "", fmt.Errorf("%q needs Config.Host: set it", token)
		}
		return prefixHash(host), nil
	case "context":
		return context, nil
	case "context.hash":
		return prefixHash(context), nil // "" is MSM's ROOT
	case "webappVersion":
		return version, nil
	}
	return "", fmt.Errorf("unknown token %q: use static:x, host, host.hash, context, context.hash and webappVersion, joined by commas without blanks", token)
}

// prefixHash is the first 8 hexadecimal digits of SHA-256.
func prefixHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// checkPrefix applies memcached's rules for keys (protocol.txt, "Keys").
func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefixLen {
		return fmt.Errorf("the prefix %q has %d bytes: use at most %d, or the .hash tokens", prefix, len(prefix), maxPrefixLen)
	}
	for i := range len(prefix) {
		if c := prefix[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf("the prefix %q has a blank or control character, which memcached refuses in keys: use the .hash tokens", prefix)
		}
	}
	return nil
}
