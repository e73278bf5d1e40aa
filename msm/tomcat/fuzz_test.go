package tomcat_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed99545744/msm/msm"
	"github.com/seed99545744/msm/msm/tomcat"
)

// FuzzParseContext reads any file. Without an error there are nodes to use, a
// comment behind it changes nothing, and New comes to a decision; with one there
// is no Config.
func FuzzParseContext(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, a := range attributes {
		for _, v := range a.accepted {
			f.Add([]byte(withAttribute(a.name, v.text, v.with)))
		}
		for _, r := range a.refused {
			f.Add([]byte(withAttribute(a.name, r.text, r.with)))
		}
	}
	const comment = "<!-- the end -->"
	f.Fuzz(func(t *testing.T, file []byte) {
		cfg, warnings, err := tomcat.ParseContext(bytes.NewReader(file))
		if err != nil {
			if diff := cmp.Diff(msm.Config{}, cfg); diff != "" {
				t.Errorf("%v, and a Config: %s", err, diff)
			}
			return
		}
		if strings.TrimSpace(cfg.MemcachedNodes) == "" {
			t.Errorf("no nodes in %+v", cfg)
		}
		if again, _, err := tomcat.ParseContext(bytes.NewReader(append(bytes.Clone(file), comment...))); len(file) < 1<<20-len(comment) {
			if diff := cmp.Diff(cfg, again, sameTranscoder); err != nil || diff != "" {
				t.Errorf("with a comment behind it: %v\n%s", err, diff)
			}
		}
		for _, w := range warnings {
			if len(w) > 4096 {
				t.Errorf("a warning of %d bytes", len(w))
			}
		}
		if len(cfg.MemcachedNodes) > 1000 {
			return // a ring of many nodes takes long to build
		}
		if m, err := msm.New(cfg); err == nil {
			m.Shutdown(t.Context())
		}
	})
}

// The memory that a file takes is bounded by its size, whatever it holds.
func TestMemoryIsBounded(t *testing.T) {
	const size, most = 1 << 20, 100 << 20
	fill := func(begin, repeated, end string) string {
		return begin + strings.Repeat(repeated, (size-len(begin)-len(end))/len(repeated)) + end
	}
	for name, file := range map[string]string{
		"elements":            fill("<a>", "<b/>", "</a>"),
		"depth":               fill("", "<a>", ""),
		"attributes":          fill("<a", ` b=""`, "/>"),
		"Managers":            fill("<a>", "<Manager/>", "</a>"),
		"cluster's Managers":  fill("<Cluster>", "<Manager/>", "</Cluster>"),
		"children":            fill("<Manager>", "<a/>", "</Manager>"),
		"processors":          fill("<Context>", "<CookieProcessor/>", "</Context>"),
		"unknown attributes":  fill("<Manager", ` b=""`, "/>"),
		"one long value":      fill(`<Manager className="`, "x", `"/>`),
		"one long name":       fill(`<Manager `, "x", `=""/>`),
		"urls":                fill(`<Manager className="de.javakaffee.web.msm.MemcachedBackupSessionManager" memcachedNodes="http://`, ",a:", `"/>`),
		"an endless comment":  fill("<!--", "x", ""),
		"an endless DOCTYPE":  fill("<!DOCTYPE ", "<", ""),
		"Latin 1, two by two": fill("<?xml version='1.0' encoding='latin1'?><a>", "\xff", "</a>"),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, warnings, err := tomcat.ParseContext(strings.NewReader(file))
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > most {
				t.Errorf("%d bytes allocated for %d, want %d at most", got, len(file), most)
			}
			if err == nil {
				t.Errorf("no error, warnings %q", warnings)
			} else if n := len(err.Error()); n > 200<<10 {
				t.Errorf("an error of %d bytes", n)
			}
		})
	}
}
