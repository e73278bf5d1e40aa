package msm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of what is printed of a violation.
const (
	maxViolations = 1
	maxLines      = 60
)

// tally counts what happened in a run. Its zero value is ready.
type tally struct {
	served      atomic.Int64 // 200
	unavailable atomic.Int64 // any other status
	undelivered atomic.Int64
	unstored    atomic.Int64 // answered by 200 while memcached lacked changes
	excused     atomic.Int64 // what was lost had died with its nodes
	acks, ends  quorum
}

// quorum counts what was acknowledged, and how much of it by one node only while
// two or more were well.
type quorum struct{ all, thin atomic.Int64 }

func (t *tally) count(delivered bool, status int) {
	switch {
	case !delivered:
		t.undelivered.Add(1)
	case status == http.StatusOK:
		t.served.Add(1)
	default:
		t.unavailable.Add(1)
	}
}

// report says what a run was worth. One whose excuses are many proves nothing.
func (t *tally) report(c *chaos) {
	all := c.requests.Load()
	c.t.Logf("%d requests in %v and %d faults: %d served, %d failed, %d undelivered; %d changes acknowledged (%d by one node alone), %d unstored; %d ends (%d); %d losses excused",
		all, time.Since(c.began).Round(time.Millisecond), len(c.faults), t.served.Load(), t.unavailable.Load(), t.undelivered.Load(),
		t.acks.all.Load(), t.acks.thin.Load(), t.unstored.Load(), t.ends.all.Load(), t.ends.thin.Load(), t.excused.Load())
}

// witness holds what was acknowledged against the nodes themselves. The caller
// has the user's mu.
func (c *chaos) witness(r *request, q *quorum, held nodeSet, what string) {
	now := c.circumstances()
	q.all.Add(1)
	if now != r.then {
		return
	}
	if held.count() == 0 && (!c.mode.processes || now.healthy() == wardSize) {
		c.violated(r, r.view.at, "%s was acknowledged, and no node has it", what)
	}
	if held.count() < min(2, now.healthy()) {
		q.thin.Add(1)
	}
}

// violated fails the run, and prints the history of the session since then.
// Whose session it is has its mu.
func (c *chaos) violated(r *request, since time.Time, format string, args ...any) {
	c.mu.Lock()
	c.violations++
	n := c.violations
	faults := slices.Clone(c.faults)
	c.mu.Unlock()
	c.moved()
	if n > maxViolations {
		return
	}
	var text strings.Builder
	fmt.Fprintf(&text, "seed %d: %s: %s\n", c.seed, r.t.name, fmt.Sprintf(format, args...))
	fmt.Fprintf(&text, "the newest acknowledged change is on %v, of which one lives on: %v\n", r.t.held, c.protects(r.t.held))
	for _, e := range timeline(since, faults, r.related(since)) {
		fmt.Fprintf(&text, "  %9.4f-%9.4f %s\n", e.from.Sub(c.began).Seconds(), e.to.Sub(c.began).Seconds(), e.text)
	}
	c.t.Error(text.String())
}

// related is what else happened to the session since then, with any of its ids,
// or if this one has ended, with this one.
func (r *request) related(since time.Time) (incidents []incident) {
	for _, e := range append(r.t.log, r.incident("is under way")) {
		if e.to.Before(since) || r.id != nil && !r.id.ended.IsZero() && e.id != r.id {
			continue
		}
		incidents = append(incidents, e)
	}
	return incidents
}

// timeline is a session's log among the faults since then, and the last one before
// that of every node and instance.
func timeline(since time.Time, faults, log []incident) []incident {
	last := make(map[string]incident)
	var lines []incident
	for _, e := range faults {
		if subject, _, _ := strings.Cut(e.text, " "); e.to.Before(since) {
			last[subject] = e
		} else {
			lines = append(lines, e)
		}
	}
	lines = append(lines, log...)
	byTime := func(a, b incident) int { return a.from.Compare(b.from) }
	slices.SortStableFunc(lines, byTime)
	if more := len(lines) - maxLines; more > 0 {
		lines = lines[more:]
	}
	return append(slices.SortedFunc(maps.Values(last), byTime), lines...)
}

// record puts the request into the history of its session. The caller has the
// user's mu.
func (r *request) record(resp *http.Response, delivered bool) {
	outcome := fmt.Sprint(resp.StatusCode)
	switch {
	case !delivered:
		outcome = "undelivered"
	case r.err != nil:
		outcome = r.err.Error()
	}
	for _, c := range resp.Cookies() {
		if c.MaxAge >= 0 {
			outcome += ", cookie " + fingerprint(c.Value)
		} else {
			outcome += ", cookie deleted"
		}
	}
	if len(r.pending) == 0 && r.stored {
		outcome += ", stored on " + r.t.held.String()
	}
	r.t.log = append(r.t.log, r.incident(outcome))
}

// incident is the request as a line of a history.
func (r *request) incident(outcome string) incident {
	var steps []string
	for _, s := range r.steps {
		steps = append(steps, s.String())
	}
	shown := "no cookie"
	if r.cookie != "" {
		shown = fingerprint(r.cookie)
	}
	saw := ""
	switch {
	case r.absent:
		saw = ", no session"
	case len(r.notes) > 0:
		saw = ", " + strings.Join(r.notes, " ")
	}
	return incident{r.view.at, time.Now(), r.id, fmt.Sprintf("%s, branch %d, %s: %s%s: %s", r.view.app.route, r.branch, shown, strings.Join(steps, ", "), saw, outcome)}
}

// fingerprint is a cookie without what would open its session.
func fingerprint(cookie string) string {
	id, ok := parseID(cookie)
	if !ok {
		return "malformed"
	}
	sum := sha256.Sum256([]byte(id.base))
	id.base = hex.EncodeToString(sum[:3])
	return id.String()
}
