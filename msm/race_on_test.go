//go:build race

package msm

// raceEnabled: sync.Pool then drops a part of what it gets, and allocations
// cannot be counted.
const raceEnabled = true
