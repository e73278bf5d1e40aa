package memcachetest

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed99545744/msm/internal/memcached"
)

// memccapable, of libmemcached-tools, is somebody else's idea of what a memcached
// must do. Here it finds no difference from a real one.
func TestMemccapable(t *testing.T) {
	tool, err := exec.LookPath("memccapable")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("memccapable is missing: apt-get install libmemcached-tools")
		}
		t.Skip("memccapable is missing: apt-get install libmemcached-tools")
	}
	const want = 27 // tests in each suite
	for _, suite := range []struct{ name, flag string }{{"ascii", "-a"}, {"binary", "-b"}} {
		for _, server := range []struct {
			name  string
			start func(t *testing.T) (addr string)
		}{
			{"memcachetest", func(t *testing.T) string {
				s := NewServer()
				t.Cleanup(s.Close)
				return s.Addr()
			}},
			{"memcached", func(t *testing.T) string { return memcached.Start(t).Addr() }},
		} {
			t.Run(suite.name+"/"+server.name, func(t *testing.T) {
				t.Parallel() // it spends its time waiting for bytes that must not come
				host, port, err := net.SplitHostPort(server.start(t))
				if err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command(tool, "-h", host, "-p", port, suite.flag, "-v", "-t", "5").CombinedOutput()
				if got := strings.Count(string(out), "[pass]"); got != want || err != nil {
					t.Errorf("%d tests passed, want %d: %v\n%s", got, want, err, out)
				}
			})
		}
	}
}
