// Benchmarks compares memcached clients on this machine, against a memcached
// that it starts itself:
//
//	go run . -rounds 5 -peers gomemcache -workloads get100
//
// All contenders are measured in turn within each round, and ratios are taken
// within a round, so that they hold on a machine that has other things to do.
// Capacity is 2 cores / (client + server CPU time per operation).
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	peers, workloads, goroutines string
	unix                         bool
	benchstat, chart             string
	plan                         plan
}

func parseFlags(args []string, output io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.StringVar(&o.peers, "peers", "all", "what to compare with, separated by commas: "+strings.Join(contenderNames(), ", "))
	fs.StringVar(&o.workloads, "workloads", "get100", "separated by commas, or all: "+strings.Join(workloadNames(), ", "))
	fs.StringVar(&o.goroutines, "goroutines", "1,8,64,512", "how many call at the same time")
	fs.IntVar(&o.plan.rounds, "rounds", 5, "how often everything is measured")
	fs.DurationVar(&o.plan.duration, "d", 300*time.Millisecond, "length of one sample")
	fs.IntVar(&o.plan.servers, "servers", 1, "memcached servers to start")
	fs.BoolVar(&o.unix, "unix", false, "unix sockets instead of TCP on loopback")
	fs.IntVar(&o.plan.blasterConns, "blaster-conns", 2, "connections of the contender «blaster»")
	fs.StringVar(&o.benchstat, "benchstat", "", "a folder to write a file for benchstat into, for each contender")
	fs.StringVar(&o.chart, "chart", "", "an SVG file to write a chart into")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("what is %q? All is said with flags; -h lists them", fs.Arg(0))
	}
	return o, o.fillPlan()
}

// fillPlan turns lists of names into what they name.
func (o *options) fillPlan() (err error) {
	p := &o.plan
	if p.workloads, err = selectWorkloads(o.workloads); err != nil {
		return err
	}
	p.contenders = contenders
	if o.peers != "all" {
		if p.contenders, err = selectContenders(append(strings.Split(o.peers, ","), subject, baseline)...); err != nil {
			return err
		}
	}
	for word := range strings.SplitSeq(o.goroutines, ",") {
		g, err := strconv.Atoi(word)
		if err != nil || g < 1 {
			return fmt.Errorf("-goroutines: %q is not a positive number", word)
		}
		p.goroutines = append(p.goroutines, g)
	}
	if p.rounds < 1 || p.servers < 1 || p.blasterConns < 1 || p.duration <= 0 {
		return fmt.Errorf("-rounds, -servers, -blaster-conns and -d must be positive")
	}
	return nil
}

func run(args []string, out io.Writer) error {
	o, err := parseFlags(args, out)
	if err == flag.ErrHelp {
		return nil
	}
	if err != nil {
		return err
	}
	if o.unix {
		if o.plan.unix, err = os.MkdirTemp("", "bench"); err != nil {
			return err
		}
		defer os.RemoveAll(o.plan.unix)
	}
	o.plan.progress = out
	caption := fmt.Sprintf("%s, %s/%s, GOMAXPROCS %d; memcached -t 1 on the same machine; median of %d rounds of %v",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.plan.rounds, o.plan.duration)
	fmt.Fprintln(out, caption)
	outcomes, err := o.plan.run()
	if err != nil {
		return err
	}
	reportTables(out, outcomes)
	reportSummary(out, o.plan, outcomes, subject)
	if o.benchstat != "" {
		if err := writeBenchstat(o.benchstat, outcomes); err != nil {
			return err
		}
	}
	if o.chart != "" {
		return writeChart(o.chart, o.plan, outcomes, caption)
	}
	return nil
}
