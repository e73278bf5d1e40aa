package memcache

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestExptime(t *testing.T) {
	// In a bubble the clock stands still, at midnight of January 1, 2000.
	synctest.Test(t, func(t *testing.T) {
		const month = 30 * 24 * time.Hour
		now := time.Now().Unix()
		tests := []struct {
			name string
			ttl  time.Duration
			want int64
		}{
			{"for ever", 0, 0},
			{"expired", -1, -1},
			{"long expired", math.MinInt64, -1},
			{"rounded up", 1, 1},
			{"a second", time.Second, 1},
			{"rounded up to two", time.Second + 1, 2},
			{"the longest", month, 2592000},
			{"a date", month + time.Second, now + 2592001},
			{"a date, rounded up", month + 1, now + 2592001},
			{"as far as dates go", math.MaxInt64, math.MaxInt32},
		}
		for _, tt := range tests {
			if got := exptime(tt.ttl); got != tt.want {
				t.Errorf("%s: %v is %d, want %d", tt.name, tt.ttl, got, tt.want)
			}
		}
		time.Sleep(time.Millisecond)
		if got := exptime(month + time.Second); got != now+2592002 {
			t.Errorf("a millisecond later: got %d, want %d: never too early", got, now+2592002)
		}
	})
}
