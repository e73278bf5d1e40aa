package msm

import (
	"math"
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
		rec := &record{base: newBase(), maxInactive: want}
		got, err := parseRecord(rec.appendTo(nil))
		if err != nil || got.maxInactive != want {
			t.Errorf("%v comes back as %v, %v", want, got.maxInactive, err)
		}
	}
}
