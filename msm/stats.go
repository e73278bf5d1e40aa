package msm

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// Stats is a snapshot of what a Manager has done since New; Reconfigure does not
// start it anew. Its numbers are not from one instant. It marshals to JSON and
// holds neither ids nor values.
type Stats struct {
	Counters
	Probes

	LocalSessions int         `json:"localSessions"` // in the memory of this process: those of sticky sessions
	Nodes         []NodeStats `json:"nodes"`         // in the order of the ring; none after Shutdown
}

// Counters are numbers of events. Requests that match RequestURIIgnorePattern
// count nowhere. In parentheses stands MSM's name, less msmStatNum.
type Counters struct {
	// Requests that ended with or without a session, or with a cookie that
	// may be one's (RequestsWithSession, RequestsWithoutSession).
	RequestsWithSession    uint64 `json:"requestsWithSession"`
	RequestsWithoutSession uint64 `json:"requestsWithoutSession"`

	// Of requests with a session: those that did not use it, those that used
	// none of its attributes, and those that changed nothing, so that there was
	// nothing to store (NoSessionAccess, NoAttributesAccess,
	// NoSessionModification).
	NoSessionAccess       uint64 `json:"noSessionAccess"`
	NoAttributesAccess    uint64 `json:"noAttributesAccess"`
	NoSessionModification uint64 `json:"noSessionModification"`

	// Sticky sessions that came here from another instance, and cookies that got
	// the name of another node (TomcatFailover, MemcachedFailover).
	InstanceFailovers uint64 `json:"instanceFailovers"`
	NodeFailovers     uint64 `json:"nodeFailovers"`

	// Attempts to store a session that failed (BackupFailures), and changes that
	// were given up in the background, after several. Those are lost, unless
	// this process still has them.
	BackupFailures uint64 `json:"backupFailures"`
	BackupsLost    uint64 `json:"backupsLost"`

	// Copies that were not on their node when the session was read, and were
	// made again (NonStickySessionsPingFailed).
	MissingCopies uint64 `json:"missingCopies"`

	// Loads that took no lock where LockingMode is auto or uriPattern
	// (NonStickySessionsReadOnlyRequest).
	ReadOnlyRequests uint64 `json:"readOnlyRequests"`

	// Stores that found the session changed by somebody else, and commits that
	// were merged with such changes.
	Conflicts uint64 `json:"conflicts"`
	Merges    uint64 `json:"merges"`

	// Bytes of sessions that nodes have taken, second copies included.
	BytesStored uint64 `json:"bytesStored"`
}

// Probes are measurements, in milliseconds but for StoredBytes. In parentheses
// stands MSM's name, less msmStat and Info.
type Probes struct {
	// What a request with a session waits for before its response
	// (EffectiveBackup), and what storing a session takes, in requests and in
	// the background (Backup).
	EffectiveBackupMillis Probe `json:"effectiveBackupMillis"`
	BackupMillis          Probe `json:"backupMillis"`

	// Encoding one attribute when it is set (AttributesSerialization), and
	// storing one copy on one node (MemcachedUpdate).
	AttributesSerializationMillis Probe `json:"attributesSerializationMillis"`
	MemcachedUpdateMillis         Probe `json:"memcachedUpdateMillis"`

	// Loading a session that there is (SessionsLoadedFromMemcached), decrypting
	// and parsing it (SessionDeserialization), and ending one
	// (SessionsDeletedFromMemcached).
	SessionLoadMillis            Probe `json:"sessionLoadMillis"`
	SessionDeserializationMillis Probe `json:"sessionDeserializationMillis"`
	SessionDeletionMillis        Probe `json:"sessionDeletionMillis"`

	// Getting the lock of a session, waiting included, or not getting it, and
	// giving it back (NonStickyAcquireLock, NonStickyAcquireLockFailure,
	// NonStickyReleaseLock).
	AcquireLockMillis        Probe `json:"acquireLockMillis"`
	AcquireLockFailureMillis Probe `json:"acquireLockFailureMillis"`
	ReleaseLockMillis        Probe `json:"releaseLockMillis"`

	// Keeping the copies of a sticky session alive without loading it
	// (NonStickyOnBackupWithoutLoadedSession).
	ConfirmationMillis Probe `json:"confirmationMillis"`

	// The second copy and what else follows once a session is stored
	// (NonStickyAfterBackup), loaded (NonStickyAfterLoadFromMemcached) or ended
	// (NonStickyAfterDeleteFromMemcached), as far as somebody waits for it.
	AfterBackupMillis Probe `json:"afterBackupMillis"`
	AfterLoadMillis   Probe `json:"afterLoadMillis"`
	AfterDeleteMillis Probe `json:"afterDeleteMillis"`

	// The size of what is stored on one node (CachedDataSize).
	StoredBytes Probe `json:"storedBytes"`
}

// NodeStats is what is known of one node. Its numbers begin anew when Reconfigure
// makes connections anew.
type NodeStats struct {
	ID       string `json:"id"`
	Addr     string `json:"addr"`
	Failover bool   `json:"failover"` // of FailoverNodes

	// State of the node as the last operations have found it.
	Up        bool      `json:"up"`
	DownSince time.Time `json:"downSince,omitzero"`
	Cause     string    `json:"cause,omitempty"`

	Conns      int    `json:"conns"`    // living connections
	InFlight   int    `json:"inFlight"` // requests without an answer
	Operations uint64 `json:"operations"`
	Errors     uint64 `json:"errors"` // operations without a usable answer
}

// Stats returns what m has done. With DisableStatistics nothing is counted and
// measured; LocalSessions and Nodes are told always.
func (m *Manager) Stats() Stats {
	s := Stats{Counters: m.stats.counters(), Probes: m.stats.measured(), LocalSessions: m.table.size()}
	if c := m.core.Load(); c != nil {
		s.Nodes = c.nodeStats()
	}
	return s
}

// size is the number of sessions.
func (t *table) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

func (c *counters) counters() Counters {
	n := func(which counter) uint64 { return c.counts[which].Load() }
	return Counters{
		RequestsWithSession:    n(requestsWithSession),
		RequestsWithoutSession: n(requestsWithoutSession),
		NoSessionAccess:        n(noSessionAccess),
		NoAttributesAccess:     n(noAttributesAccess),
		NoSessionModification:  n(noSessionModification),
		InstanceFailovers:      n(instanceFailovers),
		NodeFailovers:          n(nodeFailovers),
		BackupFailures:         n(backupFailures),
		BackupsLost:            n(backupsLost),
		MissingCopies:          n(missingCopies),
		ReadOnlyRequests:       n(readOnlyRequests),
		Conflicts:              n(conflicts),
		Merges:                 n(merges),
		BytesStored:            n(bytesStored),
	}
}

func (c *counters) measured() Probes {
	millis := func(which measure) Probe { return c.meters[which].in(inMillis) }
	return Probes{
		EffectiveBackupMillis:         millis(effectiveBackup),
		BackupMillis:                  millis(backup),
		AttributesSerializationMillis: millis(attributesSerialization),
		MemcachedUpdateMillis:         millis(memcachedUpdate),
		SessionLoadMillis:             millis(sessionLoad),
		SessionDeserializationMillis:  millis(sessionDeserialization),
		SessionDeletionMillis:         millis(sessionDeletion),
		AcquireLockMillis:             millis(acquireLock),
		AcquireLockFailureMillis:      millis(acquireLockFailure),
		ReleaseLockMillis:             millis(releaseLock),
		ConfirmationMillis:            millis(confirmation),
		AfterBackupMillis:             millis(afterBackup),
		AfterLoadMillis:               millis(afterLoad),
		AfterDeleteMillis:             millis(afterDelete),
		StoredBytes:                   c.meters[storedSize].in(inBytes),
	}
}

// nodeStats asks the client what it knows of its nodes.
func (c *core) nodeStats() []NodeStats {
	if c.store == nil {
		return nil
	}
	var all []NodeStats
	for _, n := range c.store.client.Stats().Nodes {
		all = append(all, newNodeStats(&n, c.store.failover[n.ID]))
	}
	return all
}

func newNodeStats(n *memcache.NodeStats, failover bool) NodeStats {
	s := NodeStats{
		ID: n.ID, Addr: n.Addr, Failover: failover, Up: n.Up, DownSince: n.DownSince,
		Conns: n.Conns, InFlight: n.InFlight, Operations: n.Ops(), Errors: n.Errors(),
	}
	if n.Cause != nil {
		s.Cause = n.Cause.Error()
	}
	return s
}

// Expvar returns the statistics for the expvar package, always as they are at
// that time:
//
//	expvar.Publish("sessions", manager.Expvar())
func (m *Manager) Expvar() fmt.Stringer { return statsVar{m} }

// statsVar implements expvar.Var. Importing expvar would register its handler
// with http.DefaultServeMux, which is the program's to decide.
type statsVar struct{ m *Manager }

// String returns the statistics as JSON.
func (v statsVar) String() string {
	text, err := json.Marshal(v.m.Stats())
	if err != nil {
		return "null" // cannot happen: Stats has numbers and strings only
	}
	return string(text)
}
