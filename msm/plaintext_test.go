package msm

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed99545744/msm/memcache"
)

// SR-48: sessions that anybody on the network can read are worth a warning, one
// for each manager.
func TestSR48_PlaintextIsWarnedOf(t *testing.T) {
	client, err := memcache.New(memcache.Config{Nodes: "n1:10.0.0.1:11211"})
	must(t, err)
	defer client.Close()
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
		{"with a password", Config{MemcachedNodes: "n1:10.0.0.1:11211", Username: "u", Password: "p"}, 0},
		{"sealed", Config{MemcachedNodes: "n1:10.0.0.1:11211", ValueKeys: [][]byte{randomKey()}}, 0},
		{"a client of one's own", Config{Client: client}, 0},
		{"disabled", Config{MemcachedNodes: "n1:10.0.0.1:11211", Disabled: true}, 0},
	} {
		var log bytes.Buffer
		tc.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		instance(t, tc.cfg)
		if got := strings.Count(log.String(), "in the clear"); got != tc.want {
			t.Errorf("%s: %d warnings, want %d: %s", tc.name, got, tc.want, &log)
		}
	}
}
