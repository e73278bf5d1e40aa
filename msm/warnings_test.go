package msm

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// SR-48: sessions that anybody on the network can read are worth a warning, one
// for each manager.
func TestSR48_PlaintextIsWarnedOf(t *testing.T) {
	client, err := memcache.New(memcache.Config{Nodes: "n1:10.0.0.1:11211"})
	must(t, err)
	defer client.Close()
	secure, err := memcache.New(memcache.Config{Nodes: "n1:10.0.0.1:11211", TLS: &tls.Config{ServerName: "n1"}})
	must(t, err)
	defer secure.Close()
	for _, tc := range []struct {
		name string
		cfg  Config
		want int
	}{
		{"this machine, by its numbers", Config{MemcachedNodes: "n1:127.0.0.1:11211,n2:[::1]:11211"}, 0},
		{"this machine, by its name", Config{MemcachedNodes: "localhost:11211"}, 0},
		{"a socket", Config{MemcachedNodes: "n1:/run/memcached.sock"}, 0},
		{"other machines", Config{MemcachedNodes: "n1:127.0.0.1:11211,n2:10.0.0.2:11211,n3:10.0.0.3:11211"}, 1},
		{"another machine, by its name", Config{MemcachedNodes: "memcached.example.com:11211"}, 1},
		{"with a password", Config{MemcachedNodes: "n1:10.0.0.1:11211", Username: "u", Password: "p"}, 1},
		{"sealed", Config{MemcachedNodes: "n1:10.0.0.1:11211", ValueKeys: [][]byte{randomKey()}}, 0},
		{"a client of one's own", Config{Client: client}, 1},
		{"a client with TLS", Config{Client: secure}, 0},
		{"disabled", Config{MemcachedNodes: "n1:10.0.0.1:11211", Disabled: true}, 0},
	} {
		var log bytes.Buffer
		tc.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		m := instance(t, tc.cfg)
		tc.cfg.MaxLifetime = time.Hour
		must(t, m.Reconfigure(tc.cfg)) // nothing new to say
		if got := strings.Count(log.String(), "in the clear"); got != tc.want {
			t.Errorf("%s: %d warnings, want %d: %s", tc.name, got, tc.want, &log)
		}
	}
}

// What a Config in force means that its operator may not expect, is said once,
// and again when it changes.
func TestWarnings(t *testing.T) {
	ns := startNodes(t, 2)
	var log bytes.Buffer
	cfg := ns.config()
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	m := instance(t, cfg)
	for _, tt := range []struct {
		name string
		make func(*Config)
		want string // "": nothing
	}{
		{"nothing special", func(*Config) {}, ""},
		{"a filter, sticky", func(c *Config) { c.SessionAttributeFilter = "user" }, ""},
		{"a filter, non-sticky", func(c *Config) { c.SessionAttributeFilter, c.NonSticky = "user", true }, "SessionAttributeFilter does not match are gone"},
		{"the same", func(c *Config) { c.SessionAttributeFilter, c.NonSticky = "user", true }, ""},
		{"locks, non-sticky", func(c *Config) { c.LockingMode, c.NonSticky = "all", true }, ""},
		{"locks, sticky", func(c *Config) { c.LockingMode = "all" }, "LockingMode has no effect"},
		{"no locks, sticky", func(c *Config) { c.LockingMode = "None" }, ""},
	} {
		log.Reset()
		changed := cfg
		tt.make(&changed)
		must(t, m.Reconfigure(changed))
		if got := log.String(); tt.want == "" && got != "" || !strings.Contains(got, tt.want) || strings.Count(got, "level=WARN") > 1 {
			t.Errorf("%s: %q is said, want %q", tt.name, got, tt.want)
		}
	}
}
