package msm

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// metricsType is the text exposition format of Prometheus:
// https://prometheus.io/docs/instrumenting/exposition_formats/
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// metric is one family of the exposition.
type metric struct{ name, help string }

// counterMetrics and probeMetrics name what counters has, in the words of
// Prometheus: base units, and _total for what only grows.
var (
	counterMetrics = [numCounters]metric{
		requestsWithSession:    {"msm_requests_with_session_total", "Requests that ended with a session or the cookie of one."},
		requestsWithoutSession: {"msm_requests_without_session_total", "Requests that ended without a session."},
		instanceFailovers:      {"msm_instance_failovers_total", "Sticky sessions that came from another instance."},
		nodeFailovers:          {"msm_node_failovers_total", "Cookies that got the name of another node."},
		backupFailures:         {"msm_backup_failures_total", "Attempts to store a session that failed."},
		backupsLost:            {"msm_backups_lost_total", "Changes that were given up in the background."},
		noSessionAccess:        {"msm_requests_without_session_access_total", "Requests that did not use their session."},
		noAttributesAccess:     {"msm_requests_without_attribute_access_total", "Requests that used no attribute of their session."},
		noSessionModification:  {"msm_requests_without_modification_total", "Requests that changed nothing in their session."},
		missingCopies:          {"msm_missing_copies_total", "Copies that were not on their node."},
		readOnlyRequests:       {"msm_read_only_requests_total", "Loads that took no lock."},
		merges:                 {"msm_merges_total", "Commits that were merged with those of others."},
		conflicts:              {"msm_conflicts_total", "Stores that found the session changed by somebody else."},
		bytesStored:            {"msm_stored_bytes_total", "Bytes of sessions that nodes have taken."},
	}
	probeMetrics = [numProbes]metric{
		effectiveBackup:         {"msm_effective_backup_seconds", "What requests wait for before their response."},
		backup:                  {"msm_backup_seconds", "Storing a session."},
		attributesSerialization: {"msm_attribute_encoding_seconds", "Encoding an attribute."},
		memcachedUpdate:         {"msm_node_store_seconds", "Storing one copy on one node."},
		sessionLoad:             {"msm_session_load_seconds", "Loading a session."},
		sessionDeserialization:  {"msm_session_decoding_seconds", "Decrypting and parsing a session."},
		sessionDeletion:         {"msm_session_deletion_seconds", "Ending a session."},
		acquireLock:             {"msm_lock_acquired_seconds", "Getting the lock of a session."},
		acquireLockFailure:      {"msm_lock_failed_seconds", "Not getting the lock of a session."},
		releaseLock:             {"msm_lock_released_seconds", "Giving back the lock of a session."},
		confirmation:            {"msm_session_confirmation_seconds", "Keeping the copies of a sticky session alive."},
		afterBackup:             {"msm_after_backup_seconds", "The second copy of a session that is stored."},
		afterLoad:               {"msm_after_load_seconds", "Mending the copies of a session that is loaded."},
		afterDelete:             {"msm_after_deletion_seconds", "The second copy of a session that is ended."},
		storedSize:              {"msm_stored_size_bytes", "Size of a session on one node."},
	}
)

// MetricsHandler serves the statistics to Prometheus. Who may ask is for the
// program to decide, as with any handler; they hold neither ids nor values, but
// the ids of nodes.
func (m *Manager) MetricsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "statistics are asked for with GET", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", metricsType)
		m.WriteMetrics(w)
	})
}

// WriteMetrics writes the statistics in the text format of Prometheus, for
// programs that have an exposition of their own to add to. All names begin with
// msm_. With two Managers in one program, their handlers are asked separately.
func (m *Manager) WriteMetrics(w io.Writer) error {
	e := &exposition{}
	for i, metric := range counterMetrics {
		e.family(metric, "counter")
		e.sample(metric.name, float64(m.stats.counts[i].Load()))
	}
	for i, metric := range probeMetrics {
		unit := inSeconds
		if measure(i) == storedSize {
			unit = inBytes
		}
		e.summary(metric, m.stats.meters[i].in(unit))
	}
	local := metric{"msm_local_sessions", "Sessions in the memory of this process."}
	e.family(local, "gauge")
	e.sample(local.name, float64(m.table.size()))
	if c := m.core.Load(); c != nil {
		e.nodes(c.nodeStats())
	}
	_, err := w.Write(e.Bytes())
	return err
}

// exposition is metrics as text.
type exposition struct{ bytes.Buffer }

// family begins the samples of one name.
func (e *exposition) family(m metric, kind string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, kind)
}

// sample writes a number; labels are name and value in turn.
func (e *exposition) sample(name string, value float64, labels ...string) {
	e.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		begin := byte('{')
		if i > 0 {
			begin = ','
		}
		e.WriteByte(begin)
		fmt.Fprintf(e, `%s="%s"`, labels[i], strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		e.WriteByte('}')
	}
	e.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

// summary writes a probe: without quantiles, and with the smallest and the
// largest as gauges of their own, which a summary does not have.
func (e *exposition) summary(m metric, p Probe) {
	e.family(m, "summary")
	e.sample(m.name+"_sum", p.Mean*float64(p.Count))
	e.sample(m.name+"_count", float64(p.Count))
	for _, extreme := range []struct {
		suffix, help string
		value        float64
	}{{"_min", " The smallest since the start.", p.Min}, {"_max", " The largest since the start.", p.Max}} {
		e.family(metric{m.name + extreme.suffix, m.help + extreme.help}, "gauge")
		e.sample(m.name+extreme.suffix, extreme.value)
	}
}

// nodes writes what is known of the nodes, one family after the other.
func (e *exposition) nodes(nodes []NodeStats) {
	for _, f := range []struct {
		metric
		kind  string
		value func(*NodeStats) float64
	}{
		{metric{"msm_node_up", "Whether the node answers: 1 or 0."}, "gauge", func(n *NodeStats) float64 {
			if n.Up {
				return 1
			}
			return 0
		}},
		{metric{"msm_node_connections", "Living connections to the node."}, "gauge", func(n *NodeStats) float64 { return float64(n.Conns) }},
		{metric{"msm_node_requests_in_flight", "Requests that the node has not answered yet."}, "gauge", func(n *NodeStats) float64 { return float64(n.InFlight) }},
		{metric{"msm_node_operations_total", "Operations at the node."}, "counter", func(n *NodeStats) float64 { return float64(n.Operations) }},
		{metric{"msm_node_errors_total", "Operations at the node without a usable answer."}, "counter", func(n *NodeStats) float64 { return float64(n.Errors) }},
	} {
		e.family(f.metric, f.kind)
		for i := range nodes {
			e.sample(f.name, f.value(&nodes[i]), "node", nodes[i].ID)
		}
	}
}
