package memcachetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed99545744/msm/internal/memcached"
)

// readStats asks for a section and returns what STAT lines say.
func readStats(t *testing.T, c *client, section string) map[string]string {
	t.Helper()
	c.send("stats " + section + "\r\n")
	stats := make(map[string]string)
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(line)
		switch {
		case line == "END\r\n":
			return stats
		case len(words) != 3 || words[0] != "STAT":
			t.Fatalf("stats %s: got %q", section, line)
		}
		stats[words[1]] = words[2]
	}
}

// Every statistic that is told at all says the same as memcached's.
func TestStats(t *testing.T) {
	real := dialTCP(t, memcached.StartVersion(t, version).Addr())
	fake := dial(t, start(t, Config{}))
	const commands = "set a 5 0 3\r\nabc\r\nset n 0 0 1\r\n1\r\nadd a 0 0 1\r\nx\r\nadd b 0 100 1\r\nx\r\n" +
		"get a nope\r\ngets a b\r\ngat 100 a nope\r\ntouch b 200\r\ntouch nope 0\r\n" +
		"incr n 1\r\nincr nope 1\r\ndecr n 1\r\ndecr nope 1\r\ndecr n 1\r\n" +
		"cas a 5 0 3 1\r\ndef\r\ncas a 5 0 3 1\r\nghi\r\ncas nope 5 0 3 1\r\nghi\r\n" +
		"mg a v\r\nmg nope\r\nmg b T100\r\nmg new N100\r\nms c 3\r\nabc\r\nms c 3 C1\r\nabc\r\nma n\r\nma nope MD\r\nmd c C1\r\nmd c I\r\nmd c\r\nmd c\r\nma fresh N0\r\nme a\r\nmg a v T9\r\nmg nope T9\r\n" +
		"delete b\r\ndelete b\r\nverbosity 1\r\nappend a 0 0 1\r\n!\r\n"
	own := []string{"pid", "uptime", "time", "curr_connections", "total_connections", "bytes_read", "bytes_written", "threads"}
	compare := func(when string) {
		t.Helper()
		want, got := readStats(t, real, ""), readStats(t, fake, "")
		for name := range want {
			if _, ok := got[name]; !ok || slices.Contains(own, name) {
				delete(want, name)
			}
		}
		for _, name := range own {
			delete(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-memcached +memcachetest):\n%s", when, diff)
		}
	}
	reply(t, real, commands)
	reply(t, fake, commands)
	compare("after some commands")
	reply(t, real, "stats reset\r\nget a\r\n")
	reply(t, fake, "stats reset\r\nget a\r\n")
	compare("after stats reset")

	want, got := readStats(t, real, "settings"), readStats(t, fake, "settings")
	for name, value := range got {
		if value != want[name] {
			t.Errorf("settings: %s is %s, memcached's %s", name, value, want[name])
		}
	}
	for _, section := range []string{"items", "slabs"} {
		readStats(t, fake, section) // well formed; there is nothing to tell
	}
}

func TestBinaryStats(t *testing.T) {
	s := start(t, Config{Network: new(Network)})
	c := dial(t, s)
	sizes := answer(0x10, statusOK, "sizes_statusdisabled")
	sizes = sizes[:3] + "\x0c" + sizes[4:] // the length of the key
	c.want(packet(0x10, "sizes", "", ""), sizes+answer(0x10, statusOK, ""))
	c.want(packet(0x10, "nope", "", ""), answer(0x10, statusNotFound, "Not found"))
	c.want(packet(0x10, "reset", "", ""), answer(0x10, statusOK, ""))
	c.want(packet(0x10, "items", "", ""), answer(0x10, statusOK, ""))
}
