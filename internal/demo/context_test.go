package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed99545744/msm/internal/memcached"
)

// contextFile writes a context.xml.
func contextFile(t *testing.T, attributes string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "context.xml")
	text := `<Context path="/shop"><Manager className="de.javakaffee.web.msm.MemcachedBackupSessionManager" ` + attributes + `/></Context>`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// With the file of a Tomcat whose nodes are not to be reached, nodes with their
// ids take their place, and its settings are in force.
func TestContext(t *testing.T) {
	file := contextFile(t, `memcachedNodes="left:127.0.0.1:1,right:127.0.0.1:2" sticky="false" sessionBackupAsync="false"
		transcoderFactoryClass="de.javakaffee.web.msm.serializer.javolution.JavolutionTranscoderFactory"`)
	s := startDemo(t, config{context: file})
	b := newBrowser(t, s.url())
	first, second := b.visit(), b.visit()
	if second.visits != 2 || second.base != first.base || second.instance == first.instance {
		t.Errorf("visits were %+v and %+v, want one session on both instances", first, second)
	}
	slices.Sort(second.copies)
	if want := []string{"left", "right"}; !slices.Equal(second.copies, want) {
		t.Errorf("copies are on %q, want %q", second.copies, want)
	}
	if mode := modeOf(t, b); mode != "non-sticky, locking none; both copies are written before a visit is answered" {
		t.Errorf("the page says %q", mode)
	}
	b.control("stop", first.node)
	if third := b.visit(); third.base != first.base || third.visits < 3 {
		t.Errorf("with %s stopped the visit was %+v, want the same session", first.node, third)
	}
}

// Nodes of the file that answer are used, and -nodes goes before them.
func TestContextNodes(t *testing.T) {
	server := memcached.Start(t)
	answering := contextFile(t, `memcachedNodes="mine:`+server.Addr()+`"`)
	silent := contextFile(t, `memcachedNodes="127.0.0.1:1"`)
	for _, tt := range []struct {
		name         string
		config       config
		node, reason string
		external     bool
	}{
		{"the file's", config{context: answering}, "mine", "it answers", true},
		{"-nodes", config{context: silent, nodes: "other:" + server.Addr()}, "other", "a flag goes before a file", true},
		{"in this process", config{context: silent}, "n1", "without an id it gets one", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startDemo(t, tt.config)
			if v := newBrowser(t, s.url()).visit(); v.node != tt.node || v.visits != 1 || s.nodes[0].external != tt.external {
				t.Errorf("the visit was %+v, external %v; want node %s, external %v: %s", v, s.nodes[0].external, tt.node, tt.external, tt.reason)
			}
		})
	}
}

// modeOf is what the page says of how sessions are kept.
func modeOf(t *testing.T, b *browser) string {
	t.Helper()
	resp, err := http.Get(b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), `id="mode">`)
	mode, _, _ := strings.Cut(rest, "<")
	return mode
}
