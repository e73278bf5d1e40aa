package msm

import (
	"sync/atomic"
	"time"
)

// counters is what a Manager counts and measures. It is safe for concurrent
// use. A nil *counters counts nothing and looks at no clock: that is what
// DisableStatistics makes.
type counters struct {
	counts [numCounters]atomic.Uint64
	meters [numProbes]meter
}

// counter names one of the counts.
type counter uint8

const (
	requestsWithSession counter = iota
	requestsWithoutSession
	instanceFailovers
	nodeFailovers
	backupFailures
	backupsLost
	noSessionAccess
	noAttributesAccess
	noSessionModification
	missingCopies
	readOnlyRequests
	merges
	conflicts
	bytesStored
	numCounters
)

// measure names one of the probes. All but storedSize are times.
type measure uint8

const (
	effectiveBackup measure = iota
	backup
	attributesSerialization
	memcachedUpdate
	sessionLoad
	sessionDeserialization
	sessionDeletion
	acquireLock
	acquireLockFailure
	releaseLock
	confirmation
	afterBackup
	afterLoad
	afterDelete
	storedSize
	numProbes
)

// count adds 1.
func (c *counters) count(which counter) {
	if c != nil {
		c.counts[which].Add(1)
	}
}

// begin returns the time for since; the zero one if nobody wants to know.
func (c *counters) begin() time.Time {
	if c == nil {
		return time.Time{}
	}
	return time.Now()
}

// since measures the time from begin until now.
func (c *counters) since(which measure, begin time.Time) {
	if c != nil {
		c.meters[which].observe(int64(time.Since(begin)))
	}
}

// stored takes note of a value that a node has taken.
func (c *counters) stored(size int) {
	if c != nil {
		c.counts[bytesStored].Add(uint64(size))
		c.meters[storedSize].observe(int64(size))
	}
}
