//go:build !race

package msm

const raceEnabled = false
