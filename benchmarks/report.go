package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// reportRound prints the ratios of one round as soon as they are known.
func reportRound(w io.Writer, o outcome, round int) {
	if round == 0 {
		fmt.Fprintf(w, "%s: capacity (throughput) as a multiple of %s\n", o.cell, o.baseline)
	}
	fmt.Fprintf(w, "  round %d:", round+1)
	for _, r := range o.results {
		if r.contender != o.baseline {
			fmt.Fprintf(w, "  %s %.2f (%.2f)", r.contender,
				o.ratios(r, (*sample).capacity)[round], o.ratios(r, (*sample).throughput)[round])
		}
	}
	fmt.Fprintln(w)
}

// ratios compares r with the baseline, round by round; without a baseline the
// ratios are NaN.
func (o outcome) ratios(r result, figure func(*sample) float64) []float64 {
	ratios := make([]float64, len(r.samples))
	base := o.result(o.baseline)
	for i, s := range r.samples {
		ratios[i] = math.NaN()
		if base != nil && i < len(base.samples) {
			ratios[i] = figure(s) / figure(base.samples[i])
		}
	}
	return ratios
}

// median returns the middle of the values.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// medianOf returns the median of a figure over the rounds.
func (r result) medianOf(figure func(*sample) float64) float64 {
	values := make([]float64, len(r.samples))
	for i, s := range r.samples {
		values[i] = figure(s)
	}
	return median(values)
}

// figure is a column of the tables and a unit of the benchstat files.
type figure struct {
	title, unit string
	format      string
	of          func(*sample) float64
}

var figures = []figure{
	{"capacity/s", "capacity-ops/s", "%.0f", (*sample).capacity},
	{"ops/s", "ops/s", "%.0f", (*sample).throughput},
	{"client µs", "client-cpu-ns/op", "%.2f", perOp(func(s *sample) float64 { return micros(s.clientCPU) })},
	{"server µs", "server-cpu-ns/op", "%.2f", perOp(func(s *sample) float64 { return micros(s.serverCPU) })},
	{"p50 µs", "p50-ns", "%.0f", func(s *sample) float64 { return micros(s.latency.quantile(0.50)) }},
	{"p99 µs", "p99-ns", "%.0f", func(s *sample) float64 { return micros(s.latency.quantile(0.99)) }},
	{"p99.9 µs", "p99.9-ns", "%.0f", func(s *sample) float64 { return micros(s.latency.quantile(0.999)) }},
	{"allocs", "allocs/op", "%.1f", perOp(func(s *sample) float64 { return float64(s.allocs) })},
	{"r+w calls", "calls/op", "%.2f", perOp(func(s *sample) float64 { return float64(s.calls) })},
	{"errors", "errors", "%.0f", func(s *sample) float64 { return float64(s.errors) }},
	{"lost", "lost-updates", "%.0f", func(s *sample) float64 { return float64(s.lost) }},
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func perOp(figure func(*sample) float64) func(*sample) float64 {
	return func(s *sample) float64 { return figure(s) / float64(s.ops) }
}

// columns are the figures that say something: most cells have no errors.
func (o outcome) columns() []figure {
	return slices.DeleteFunc(slices.Clone(figures), func(f figure) bool {
		return (f.title == "errors" || f.title == "lost") && !slices.ContainsFunc(o.results, func(r result) bool {
			return slices.ContainsFunc(r.samples, func(s *sample) bool { return f.of(s) != 0 })
		})
	})
}

// reportTables prints a table for every cell: medians over the rounds, and the
// spread of the ratios.
func reportTables(w io.Writer, outcomes []outcome) {
	for _, o := range outcomes {
		fmt.Fprintf(w, "\n%s\n", o.cell)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(t, "\tratio\tmin\tmax\t")
		columns := o.columns()
		for _, f := range columns {
			fmt.Fprint(t, f.title, "\t")
		}
		fmt.Fprintln(t)
		for _, r := range o.results {
			ratios := o.ratios(r, (*sample).capacity)
			fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t", r.contender, median(ratios), slices.Min(ratios), slices.Max(ratios))
			for _, f := range columns {
				fmt.Fprintf(t, f.format+"\t", r.medianOf(f.of))
			}
			fmt.Fprintln(t)
		}
		t.Flush()
	}
}

// reportSummary prints one contender's median ratios, workloads down,
// goroutines across.
func reportSummary(w io.Writer, p plan, outcomes []outcome, name string) {
	fmt.Fprintf(w, "\n%s: capacity as a multiple of %s, median of %d rounds\n", name, p.baseline, p.rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	for _, g := range p.goroutines {
		fmt.Fprint(t, g, "\t")
	}
	fmt.Fprintln(t)
	for _, wl := range p.workloads {
		fmt.Fprint(t, wl.title, "\t")
		for _, g := range p.goroutines {
			fmt.Fprint(t, ratioText(outcomes, name, wl.name, g), "\t")
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func ratioText(outcomes []outcome, name, workload string, goroutines int) string {
	for _, o := range outcomes {
		if r := o.result(name); r != nil && o.cell.name == workload && o.cell.goroutines == goroutines {
			return fmt.Sprintf("%.2f", median(o.ratios(*r, (*sample).capacity)))
		}
	}
	return "–"
}

// guardedAt is the concurrency that workload.goal speaks of.
const guardedAt = 64

// noise is by what part the median of a short run may come to lie too low
// without anything having become slower.
const noise = 0.08

// floor is the ratio below which the workload has become slow; 0 if it has no goal.
func (w workload) floor() float64 {
	if w.tight {
		return w.goal * 2 / 3 * (1 - noise)
	}
	return w.goal * 2 / 3
}

// guard returns the workloads whose median ratio is below their floor, and an
// error that says so.
func guard(outcomes []outcome, subject string) (slow []workload, err error) {
	var errs []error
	for _, o := range outcomes {
		r, floor := o.result(subject), o.cell.floor()
		if r == nil || floor == 0 || o.cell.goroutines != guardedAt {
			continue
		}
		if got := median(o.ratios(*r, (*sample).capacity)); got < floor {
			slow = append(slow, o.cell.workload)
			errs = append(errs, fmt.Errorf("%s: %.2f times %s, less than %.2f: two thirds of %.1f are due", o.cell, got, o.baseline, floor, o.cell.goal))
		}
	}
	return slow, errors.Join(errs...)
}

// guarded are the names of the workloads that guard watches over.
func guarded() string {
	var list []string
	for _, w := range clientWorkloads {
		if w.goal > 0 {
			list = append(list, w.name)
		}
	}
	return strings.Join(list, ",")
}

// writeBenchstat writes a file for every contender in the format of `go test
// -bench`, with the same names in each: benchstat a.txt b.txt compares two.
func writeBenchstat(dir string, outcomes []outcome) error {
	files := map[string]*strings.Builder{}
	for _, o := range outcomes {
		for _, r := range o.results {
			b := files[r.contender]
			if b == nil {
				b = &strings.Builder{}
				files[r.contender] = b
			}
			for _, s := range r.samples {
				fmt.Fprintf(b, "Benchmark%s/goroutines=%d %d %.1f ns/op", strings.ReplaceAll(o.cell.title, " ", ""), o.cell.goroutines,
					s.ops, float64(s.wall.Nanoseconds())/float64(s.ops))
				for _, f := range figures {
					value := f.of(s)
					if strings.Contains(f.title, "µs") {
						value *= 1000
					}
					fmt.Fprintf(b, " %.2f %s", value, f.unit)
				}
				b.WriteByte('\n')
			}
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(b.String()), 0o666); err != nil {
			return err
		}
	}
	return nil
}
