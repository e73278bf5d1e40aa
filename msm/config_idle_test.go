package msm

import (
	"math"
	"strings"
	"testing"
	"time"
)

// STK-05: a negative time-out of any size means never, and still does after it
// was stored.
func TestSTK05_NeverIsStored(t *testing.T) {
	for _, idle := range []time.Duration{-1, -time.Millisecond, -time.Hour, math.MinInt64, 1, time.Millisecond, 1500 * time.Microsecond, time.Hour, math.MaxInt64} {
		want := storable(idle)
		if (idle < 0) != (want < 0) || want == 0 {
			t.Errorf("%d ns becomes %v", idle, want)
		}
		if live := ttl(want); (live == 0) != (idle < 0) || live < 0 {
			t.Errorf("with %v its items live for %v", want, live)
		}
		rec := &record{base: newBase(), maxInactive: want}
		got, err := parseRecord(rec.appendTo(nil))
		if err != nil || got.maxInactive != want {
			t.Errorf("%v comes back as %v, %v", want, got.maxInactive, err)
		}
	}
}

// Times of which several are waited for, one after the other, are no larger than
// that can be counted.
func TestConfigLimitsTimes(t *testing.T) {
	_, err := New(Config{MemcachedNodes: "localhost:11211", OperationTimeout: math.MaxInt64, LockExpiration: math.MaxInt64, SessionBackupTimeout: math.MaxInt64, MaxInactiveInterval: math.MaxInt64})
	if err == nil {
		t.Fatal("New = nil, want two errors")
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		field := strings.TrimPrefix(strings.Fields(line)[1], "Config.")
		if field != "OperationTimeout:" && field != "LockExpiration:" || !strings.HasSuffix(line, "use 24h0m0s at most") {
			t.Errorf("New says %q, want OperationTimeout and LockExpiration limited", line)
		}
	}
}
