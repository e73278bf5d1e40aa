package msm

import (
	"testing"
	"time"
)

// A change of places waits for requests that began before the last change, which
// was of something else: they store where sessions have been so far. Those that
// take too long are waited for once.
func TestReconfigureWaitsForOlderRequests(t *testing.T) {
	cfg := startNodes(t, 3).config()
	cfg.OperationTimeout = 200 * time.Millisecond
	m := instance(t, cfg)
	b := newVisitor(t, m)
	took := func(change func(*Config)) time.Duration {
		change(&cfg)
		begin := time.Now()
		must(t, m.Reconfigure(cfg))
		return time.Since(begin)
	}
	b.visit(m, func(s *Session) {
		if d := took(func(c *Config) { c.SessionBackupSync = true }); d >= cfg.OperationTimeout {
			t.Errorf("a change that is not of places took %v, want less than %v", d, cfg.OperationTimeout)
		}
		if d := took(func(c *Config) { c.Disabled = true }); d < cfg.OperationTimeout {
			t.Errorf("a change of places took %v, want %v at least: a request is under way", d, cfg.OperationTimeout)
		}
		if d := took(func(c *Config) { c.Disabled = false }); d >= cfg.OperationTimeout {
			t.Errorf("the next change took %v, want less than %v", d, cfg.OperationTimeout)
		}
	})
}
