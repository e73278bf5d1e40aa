package msm

import (
	"encoding/json"
	"expvar"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// STAT-02: 1, 1, 4, 0 gives count 4, smallest 0, mean 1.5, largest 4.
func TestProbe(t *testing.T) {
	for _, tt := range []struct {
		name     string
		observed []int64
		want     Probe
	}{
		{"nothing", nil, Probe{}},
		{"once", []int64{7}, Probe{1, 7, 7, 7}},
		{"MSM's own test", []int64{1, 1, 4, 0}, Probe{4, 0, 1.5, 4}},
		{"zero", []int64{0}, Probe{1, 0, 0, 0}},
		{"a clock that went back", []int64{-5}, Probe{1, 0, 0, 0}},
		{"falling", []int64{9, 6, 3}, Probe{3, 3, 6, 9}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m meter
			for _, n := range tt.observed {
				m.observe(n)
			}
			if got := m.in(1); got != tt.want {
				t.Errorf("%v: got %+v, want %+v", tt.observed, got, tt.want)
			}
		})
	}
}

// Java's probes lose updates of parallel requests.
func TestProbeInParallel(t *testing.T) {
	const goroutines, each = 8, 1000
	var m meter
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range each {
				m.observe(int64(g*each + i))
			}
		})
	}
	group.Wait()
	n := float64(goroutines * each)
	if got, want := m.in(1), (Probe{uint64(n), 0, (n - 1) / 2, n - 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// fill gives every count and every meter a value of its own.
func fill(c *counters) {
	for i := range c.counts {
		c.counts[i].Store(uint64(i) + 1)
	}
	for i := range c.meters {
		c.meters[i].observe(int64(i+1) * 1e6)
	}
}

// STAT-01: what is counted is told, each under its own name: a field that is
// forgotten is 0, and one that is mixed up is there twice.
func TestStatsTellEverything(t *testing.T) {
	m := &Manager{table: newTable()}
	for _, v := range []reflect.Value{reflect.ValueOf(m.Stats().Counters), reflect.ValueOf(m.Stats().Probes)} {
		if !v.IsZero() {
			t.Errorf("before anything has happened: %+v", v)
		}
	}
	fill(&m.stats)
	told := map[any]string{}
	for _, v := range []reflect.Value{reflect.ValueOf(m.Stats().Counters), reflect.ValueOf(m.Stats().Probes)} {
		for i := range v.NumField() {
			name, value := v.Type().Field(i).Name, v.Field(i).Interface()
			if v.Field(i).IsZero() {
				t.Errorf("%s is not told", name)
			} else if other := told[value]; other != "" {
				t.Errorf("%s and %s are both %v", name, other, value)
			}
			told[value] = name
		}
	}
	if got, want := len(told), int(numCounters)+int(numProbes); got != want {
		t.Errorf("%d numbers are told, want %d", got, want)
	}
}

func TestStatsAsJSON(t *testing.T) {
	m := &Manager{table: newTable()}
	fill(&m.stats)
	var v expvar.Var = m.Expvar()
	var got map[string]any
	if err := json.Unmarshal([]byte(v.String()), &got); err != nil {
		t.Fatalf("%v in %s", err, v)
	}
	if got["requestsWithSession"] != 1.0 {
		t.Errorf("requestsWithSession is %v, want 1", got["requestsWithSession"])
	}
	probe, _ := got["effectiveBackupMillis"].(map[string]any)
	if want := (map[string]any{"count": 1.0, "min": 1.0, "mean": 1.0, "max": 1.0}); !reflect.DeepEqual(probe, want) {
		t.Errorf("effectiveBackupMillis is %v, want %v", probe, want)
	}
	var back Stats
	if err := json.Unmarshal([]byte(v.String()), &back); err != nil || !reflect.DeepEqual(back, m.Stats()) {
		t.Errorf("read back: %+v, %v; want %+v", back, err, m.Stats())
	}
}

// A nil *counters is what DisableStatistics makes.
func TestNilCountersCountNothing(t *testing.T) {
	var c *counters
	allocs := testing.AllocsPerRun(100, func() {
		c.count(merges)
		c.since(backup, c.begin())
		c.stored(1)
	})
	if allocs != 0 || !c.begin().IsZero() {
		t.Errorf("%v allocations, and it looks at the clock: %v", allocs, !c.begin().IsZero())
	}
}

func BenchmarkCounters(b *testing.B) {
	for name, c := range map[string]*counters{"on": {}, "off": nil} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c.count(requestsWithSession)
					c.since(effectiveBackup, c.begin())
				}
			})
		})
	}
}

// sampleLine is a line of the exposition that is no comment.
var sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)((?:\{[a-z]+="(?:[^"\\]|\\.)*"\})?) (\S+)$`)

// scrape reads an exposition as Prometheus does, as far as we write it: a family
// has one HELP, one TYPE, and all of its samples behind them.
func scrape(t *testing.T, text string) map[string]float64 {
	t.Helper()
	samples, kinds := map[string]float64{}, map[string]string{}
	family := ""
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			t.Errorf("no line feed at the end of %q", line)
		}
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			family, _, _ = strings.Cut(rest, " ")
			if kinds[family] != "" {
				t.Errorf("%s begins twice", family)
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if name != family {
				t.Errorf("TYPE of %s stands after HELP of %s", name, family)
			}
			kinds[name] = kind
			continue
		}
		parts := sampleLine.FindStringSubmatch(line)
		if parts == nil {
			t.Errorf("not a sample: %q", line)
			continue
		}
		name := parts[1]
		if kinds[family] == "summary" {
			name = strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		}
		if name != family {
			t.Errorf("%s stands in the family %s", name, family)
		}
		if kind := kinds[family]; (kind == "counter") != strings.HasSuffix(family, "_total") {
			t.Errorf("%s is a %s: counters, and they alone, end in _total", family, kind)
		}
		value, err := strconv.ParseFloat(parts[3], 64)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		samples[parts[1]+parts[2]] = value
	}
	return samples
}

func TestMetrics(t *testing.T) {
	ns := startNodes(t, 2)
	m := instance(t, ns.config())
	fill(&m.stats)
	w := httptest.NewRecorder()
	m.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if got, want := w.Header().Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8"; got != want {
		t.Errorf("Content-Type is %q, want %q", got, want)
	}
	samples := scrape(t, w.Body.String())
	for name, want := range map[string]float64{
		"msm_requests_with_session_total":  1,
		"msm_stored_bytes_total":           float64(bytesStored) + 1,
		"msm_effective_backup_seconds_sum": 0.001, "msm_effective_backup_seconds_count": 1,
		"msm_effective_backup_seconds_min": 0.001, "msm_effective_backup_seconds_max": 0.001,
		"msm_stored_size_bytes_max": (float64(storedSize) + 1) * 1e6,
		"msm_local_sessions":        0,
		`msm_node_up{node="n1"}`:    1, `msm_node_up{node="n2"}`: 1,
	} {
		if got, ok := samples[name]; !ok || got != want {
			t.Errorf("%s is %v, %v; want %v", name, got, ok, want)
		}
	}
	for i, metric := range counterMetrics {
		if _, ok := samples[metric.name]; !ok {
			t.Errorf("counter %d, %q, is not written", i, metric.name)
		}
	}
	for i, metric := range probeMetrics {
		if _, ok := samples[metric.name+"_sum"]; !ok {
			t.Errorf("probe %d, %q, is not written", i, metric.name)
		}
	}
}

func TestMetricsAreAskedForWithGet(t *testing.T) {
	m := &Manager{table: newTable()}
	w := httptest.NewRecorder()
	m.MetricsHandler().ServeHTTP(w, httptest.NewRequest("POST", "/metrics", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, want %d", w.Code, http.StatusMethodNotAllowed)
	}
}

// Labels are what operators write.
func TestMetricsQuoteLabels(t *testing.T) {
	e := &exposition{}
	e.sample("x", 1, "node", "/run/\"a\\b\"\n", "more", "y")
	if got, want := e.String(), `x{node="/run/\"a\\b\"\n",more="y"} 1`+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
