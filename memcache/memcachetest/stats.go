package memcachetest

import (
	"os"
	"strconv"
	"time"
)

// version is the server that this one imitates.
const version = "1.6.18"

// textStats answers stats, as far as there is something to tell.
func (c *conn) textStats(args [][]byte) {
	section := ""
	if len(args) > 0 {
		section = string(args[0])
	}
	switch section {
	case "reset":
		c.srv.store.resetCounters()
		c.say("RESET")
		return
	case "detail":
		c.statsDetail(args[1:])
		return
	}
	stats, ok := c.srv.statistics(section)
	if !ok {
		c.say("ERROR")
		return
	}
	for _, s := range stats {
		c.say("STAT " + s[0] + " " + s[1])
	}
	c.say("END")
}

// statsDetail answers for counters by key prefix, which are not kept.
func (c *conn) statsDetail(args [][]byte) {
	what := ""
	if len(args) > 0 {
		what = string(args[0])
	}
	switch what {
	case "on", "off":
		c.say("OK")
	case "dump":
		c.say("END")
	default:
		c.say("CLIENT_ERROR usage: stats detail on|off|dump")
	}
}

// statistics returns names and values of a section, in memcached's order.
func (s *Server) statistics(section string) (stats [][2]string, ok bool) {
	switch section {
	case "":
		return s.generalStats(), true
	case "settings":
		return s.settings(), true
	case "items":
		return nil, true
	case "slabs":
		return [][2]string{{"active_slabs", "0"}, {"total_malloced", "0"}}, true
	case "sizes":
		return [][2]string{{"sizes_status", "disabled"}}, true
	}
	return nil, false
}

func (s *Server) settings() [][2]string {
	return [][2]string{
		{"maxbytes", strconv.Itoa(s.cfg.MaxMemory)},
		{"evictions", "on"},
		{"cas_enabled", "yes"},
		{"item_size_max", strconv.Itoa(s.cfg.MaxItemSize)},
		{"flush_enabled", "yes"},
	}
}

func (s *Server) generalStats() [][2]string {
	now, t := time.Now(), s.Traffic()
	s.store.mu.Lock()
	n, bytes, items := s.store.stats, s.store.size, len(s.store.items)
	s.store.mu.Unlock()
	stats := [][2]string{{"version", version}}
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"pid", int64(os.Getpid())},
		{"uptime", int64(now.Sub(s.start) / time.Second)},
		{"time", now.Unix()},
		{"pointer_size", strconv.IntSize},
		{"curr_connections", int64(t.Open)},
		{"total_connections", int64(t.Conns)},
		{"cmd_get", n.cmdGet},
		{"cmd_set", n.cmdSet},
		{"cmd_flush", n.cmdFlush},
		{"cmd_touch", n.cmdTouch},
		{"cmd_meta", n.cmdMeta},
		{"get_hits", n.getHits},
		{"get_misses", n.getMisses},
		{"delete_misses", n.deleteMisses},
		{"delete_hits", n.deleteHits},
		{"incr_misses", n.incrMisses},
		{"incr_hits", n.incrHits},
		{"decr_misses", n.decrMisses},
		{"decr_hits", n.decrHits},
		{"cas_misses", n.casMisses},
		{"cas_hits", n.casHits},
		{"cas_badval", n.casBadval},
		{"touch_hits", n.touchHits},
		{"touch_misses", n.touchMisses},
		{"bytes_read", t.Received},
		{"bytes_written", t.Sent},
		{"limit_maxbytes", int64(s.cfg.MaxMemory)},
		{"threads", 1},
		{"bytes", int64(bytes)},
		{"curr_items", int64(items)},
		{"total_items", n.totalItems},
		{"evictions", n.evictions},
	} {
		stats = append(stats, [2]string{v.name, strconv.FormatInt(v.n, 10)})
	}
	return stats
}

// resetCounters is `stats reset`.
func (s *store) resetCounters() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = counters{}
}
