package msm

import (
	"math"
	"sync/atomic"
	"time"
)

// Probe sums up measurements: how many there were, the smallest, their mean and
// the largest. Without any, all are 0.
type Probe struct {
	Count uint64  `json:"count"`
	Min   float64 `json:"min"`
	Mean  float64 `json:"mean"`
	Max   float64 `json:"max"`
}

// meter takes measurements, which are not negative. The zero meter has none. It
// is safe for concurrent use and takes no lock: on the way of a request nobody
// waits for somebody else's statistics.
type meter struct {
	count atomic.Uint64
	sum   atomic.Int64
	high  atomic.Int64
	low   atomic.Int64 // math.MaxInt64 less the smallest one, so that 0 is none
}

func (m *meter) observe(n int64) {
	n = max(n, 0)
	raise(&m.high, n)
	raise(&m.low, math.MaxInt64-n)
	m.sum.Add(n)
	m.count.Add(1) // last: whoever sees it sees the rest
}

// raise makes a at least n.
func raise(a *atomic.Int64, n int64) {
	for old := a.Load(); old < n; old = a.Load() {
		if a.CompareAndSwap(old, n) {
			return
		}
	}
}

// in returns what was measured, in a unit.
func (m *meter) in(unit float64) Probe {
	count := m.count.Load()
	if count == 0 {
		return Probe{}
	}
	return Probe{
		Count: count,
		Min:   float64(math.MaxInt64-m.low.Load()) / unit,
		Mean:  float64(m.sum.Load()) / float64(count) / unit,
		Max:   float64(m.high.Load()) / unit,
	}
}

// Units of probes.
const (
	inMillis  = float64(time.Millisecond)
	inSeconds = float64(time.Second)
	inBytes   = 1
)
