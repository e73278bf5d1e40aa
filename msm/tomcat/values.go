package tomcat

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// msmAttributes are MSM's own.
var msmAttributes = []string{
	"memcachedNodes", "failoverNodes", "memcachedProtocol", "username", "password", "sticky", "lockingMode", "lockExpiration",
	"operationTimeout", "requestUriIgnorePattern", "sessionBackupAsync", "sessionBackupTimeout", "backupThreadCount",
	"sessionAttributeFilter", "transcoderFactoryClass", "copyCollectionsForSerialization", "customConverter", "enableStatistics",
	"enabled", "storageKeyPrefix",
}

// readAttributes collects the Manager's attributes, and refuses those that
// nobody knows.
func (t *translation) readAttributes() {
	t.values = make(map[string]string, len(t.manager.attrs))
	for _, a := range t.manager.attrs {
		name, value := a.Name.Local, a.Value
		if a.Name.Space == "xmlns" || name == "xmlns" {
			continue
		}
		if _, twice := t.values[name]; twice {
			t.problem("%s is there twice: remove one", quoteName(name))
		}
		if property := findProperty(value); property != "" {
			t.problem("%s holds %s, which Tomcat takes from its system properties: write the value itself", quoteName(name), quoteName(property))
			continue // its own message would only confuse
		}
		t.values[name] = value
		if !isKnown(name) {
			t.problem("%s", unknown(name))
		}
	}
	for _, inner := range t.manager.inner {
		if inner.name == "SessionIdGenerator" {
			t.warn("<SessionIdGenerator> has no counterpart: ids have 160 random bits")
		} else {
			t.problem("<%s> within it is nothing that memcached-session-manager has: remove it", quoteName(inner.name))
		}
	}
}

func isKnown(name string) bool {
	if name == "className" {
		return true
	}
	for _, known := range msmAttributes {
		if name == known {
			return true
		}
	}
	_, ofTomcat := tomcatAttributes[name]
	return ofTomcat
}

// unknown says what may have been meant.
func unknown(name string) string {
	for _, known := range append([]string{"className"}, msmAttributes...) {
		if strings.EqualFold(name, known) {
			return fmt.Sprintf("%s is unknown: write %s, case matters", quoteName(name), known)
		}
	}
	return quoteName(name) + " is no attribute of memcached-session-manager: remove it, or mend its spelling"
}

// findProperty returns the first ${...}, "" if there is none.
func findProperty(value string) string {
	_, rest, found := strings.Cut(value, "${")
	name, _, closed := strings.Cut(rest, "}")
	if !found || !closed {
		return ""
	}
	return "${" + name + "}"
}

// text returns an attribute; "" if it is blank, which MSM takes for absent.
func (t *translation) text(name string) string {
	value := t.values[name]
	if strings.TrimSpace(value) == "" {
		return ""
	}
	return value
}

// flag reads a Java boolean. Tomcat takes whatever is not "true" for false.
func (t *translation) flag(name string, fallback bool) bool {
	value, ok := t.values[name]
	switch {
	case !ok:
		return fallback
	case strings.EqualFold(value, "true"):
		return true
	case !strings.EqualFold(value, "false"):
		t.problem("%s is neither true nor false: Tomcat takes it for false; write which you mean", t.shown(name))
	}
	return false
}

// number reads a Java int of at least low; fallback if it is not there.
func (t *translation) number(name string, fallback, low int64) int64 {
	value, ok := t.values[name]
	if !ok {
		return fallback
	}
	n, err := parseInt(value)
	if err != nil {
		t.problem("%s %v", t.shown(name), err)
		return fallback
	}
	if n < low {
		t.problem("%s is too small: write %d or more", t.shown(name), low)
		return fallback
	}
	return n
}

// duration is number with a unit; 0 if it is not there.
func (t *translation) duration(name string, unit time.Duration, low int64) time.Duration {
	return time.Duration(t.number(name, 0, low)) * unit
}

// parseInt reads what Java's Integer.parseInt does.
func parseInt(value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 32)
	switch {
	case err == nil:
		return n, nil
	case n == math.MaxInt32 || n == math.MinInt32: // out of range
		return 0, fmt.Errorf("is beyond what an int of Java holds, %d: write less", math.MaxInt32)
	}
	return 0, fmt.Errorf("is no whole number: write digits alone, without a unit or blanks")
}
