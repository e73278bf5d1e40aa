package main

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
)

// Every contender does every workload right, alone and with others, or says
// that it cannot: a comparison with a broken adapter is worthless.
func TestContenders(t *testing.T) {
	cannot := map[string][]kind{
		"memcachier": {getMulti},
	}
	server := memcached.Start(t, "-t", "1", "-m", "512")
	for _, contender := range clients {
		for _, w := range clientWorkloads {
			t.Run(contender.name+"/"+w.name, func(t *testing.T) {
				r, err := contender.open(cell{w, 4, []string{server.Addr()}, 2})
				if err != nil {
					t.Fatal(err)
				}
				if want := slices.Contains(cannot[contender.name], w.kind); (r == nil) != want {
					t.Fatalf("says it cannot: %v, want %v", r == nil, want)
				}
				if r == nil {
					return
				}
				defer r.close()
				for i, step := range r.(stepper).steps {
					for range 20 {
						if n, err := step(); n < 1 || err != nil {
							t.Fatalf("step of goroutine %d = %d, %v; want at least 1 and no error", i, n, err)
						}
					}
				}
			})
		}
	}
}

// What a check lets through would be measured as work done.
func TestCheck(t *testing.T) {
	hit, miss := workload{kind: get, size: 3}, workload{kind: getMiss}
	tests := []struct {
		name string
		w    workload
		got  []byte
		err  error
		want error
	}{
		{"the value", hit, []byte("abc"), nil, nil},
		{"a shorter value", hit, []byte("ab"), nil, errWrong},
		{"a miss where a value is", hit, nil, errMiss, errMiss},
		{"a miss where none is", miss, nil, errMiss, nil},
		{"a value where none is", miss, []byte{}, nil, errWrong},
	}
	for _, tt := range tests {
		if got := tt.w.check(tt.got, tt.err); got != tt.want {
			t.Errorf("%s: check = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestHistogram(t *testing.T) {
	for b := range 30 * subBuckets {
		if got := bucketOf(uint64(lowest(b))); got != b {
			t.Fatalf("bucketOf(lowest(%d)) = %d", b, got)
		}
	}
	var h histogram
	durations := make([]time.Duration, 10000)
	for i := range durations {
		durations[i] = time.Duration(rand.ExpFloat64() * 1e6)
		h.add(durations[i])
	}
	slices.Sort(durations)
	for _, q := range []float64{0.01, 0.5, 0.99, 0.999} {
		want := durations[int(q*float64(len(durations)))-1]
		if got := h.quantile(q); got > want || float64(got) < 0.96*float64(want) {
			t.Errorf("quantile(%v) = %v, want %v or up to 4 %% less", q, got, want)
		}
	}
}

// The guard speaks up for what it watches, and for nothing else.
func TestGuard(t *testing.T) {
	at := func(goroutines int, capacity int64) []outcome {
		fast := &sample{ops: capacity, clientCPU: time.Second}
		slow := &sample{ops: 100, clientCPU: time.Second}
		return []outcome{{cell: cell{workload: workload{goal: 3}, goroutines: goroutines}, baseline: clientBaseline,
			results: []result{{clientSubject, []*sample{fast}}, {clientBaseline, []*sample{slow}}}}}
	}
	if slow, err := guard(at(64, 210), clientSubject); err != nil || len(slow) > 0 {
		t.Errorf("2.1 times, goal 3: %v", err)
	}
	less := at(64, 190)
	if slow, err := guard(less, clientSubject); err == nil || len(slow) != 1 {
		t.Errorf("1.9 times, goal 3: %d are slow, error %v", len(slow), err)
	}
	less[0].cell.tight = true
	if slow, err := guard(less, clientSubject); err != nil || len(slow) > 0 {
		t.Errorf("1.9 times, goal 3, tight: %v", err)
	}
	less = at(64, 180)
	less[0].cell.tight = true
	if slow, err := guard(less, clientSubject); err == nil || len(slow) != 1 {
		t.Errorf("1.8 times, goal 3, tight: %d are slow, error %v", len(slow), err)
	}
	if _, err := guard(at(8, 10), clientSubject); err != nil {
		t.Errorf("a concurrency that is not watched: %v", err)
	}
}

// A whole run, as short as it can be: the report names everybody, and the
// files are there.
func TestRun(t *testing.T) {
	memcached.Start(t) // skips the test where there is none
	dir := t.TempDir()
	var out strings.Builder
	err := run([]string{"-rounds", "2", "-d", "10ms", "-goroutines", "1,4", "-peers", "pingpong", "-workloads", "get100,set100",
		"-unix", "-benchstat", dir, "-chart", filepath.Join(dir, "chart.svg")}, &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Get 100 B, 4 at a time", "round 2:", "Set 100 B, 1 at a time", clientSubject, clientBaseline, "pingpong"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	stat, err := os.ReadFile(filepath.Join(dir, clientBaseline+".txt"))
	if n := strings.Count(string(stat), "BenchmarkGet100B/goroutines=4 "); err != nil || n != 2 {
		t.Errorf("benchstat file has %d lines for a cell of 2 rounds (%v):\n%s", n, err, stat)
	}
	chart, err := os.ReadFile(filepath.Join(dir, "chart.svg"))
	if err != nil || !strings.Contains(string(chart), "</svg>") {
		t.Errorf("chart: %v\n%.200s", err, chart)
	}
}

// The test binary is also the visitors' process.
func TestMain(m *testing.M) {
	if os.Getenv(visitorsEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every session manager keeps sessions apart and loses none of the writes of a
// visitor who is alone in a session.
func TestManagers(t *testing.T) {
	servers := []string{memcached.Start(t, "-t", "1").Addr(), memcached.Start(t, "-t", "1").Addr()}
	for _, manager := range managers {
		t.Run(manager.name, func(t *testing.T) {
			r, err := manager.open(cell{workload: sessionWorkloads[0], goroutines: 4, addrs: servers})
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			s, err := r.run(50*time.Millisecond, nil)
			if err != nil {
				t.Fatal(err)
			}
			if s.ops < 10 || s.errors > 0 || s.lost != 0 {
				t.Errorf("%d requests, %d errors (%v), %d writes lost; want some, none, none", s.ops, s.errors, s.firstErr, s.lost)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	tests := []struct {
		args, want string // in the error
	}{
		{"-peers nobody", "no contender"},
		{"-workloads dance", "no workload"},
		{"-goroutines 0", "positive"},
		{"-goroutines x", "positive"},
		{"-rounds 0", "positive"},
		{"-sessions -workloads get100", "go with -sessions"},
		{"-workloads own", "go with -sessions"},
		{"stray", "-h lists them"},
	}
	for _, tt := range tests {
		_, err := parseFlags(strings.Fields(tt.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.args, err, tt.want)
		}
	}
}
