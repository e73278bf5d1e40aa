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
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed99545744/msm/memcache"
)

func main() {
	if config := os.Getenv(visitorsEnv); config != "" {
		if err := runVisitors(config, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "benchmarks: visitors:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	sessions                     bool
	peers, workloads, goroutines string
	unix                         bool
	benchstat, chart, profile    string
	guard                        bool
	plan                         plan
	subject                      string // the summary is about it
}

func parseFlags(args []string, output io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.BoolVar(&o.sessions, "sessions", false, "compare session managers instead of clients")
	fs.StringVar(&o.peers, "peers", "", "what to compare, separated by commas; the baseline always is.\nClients: "+
		strings.Join(names(clients), ", ")+".\nSession managers: "+strings.Join(names(managers), ", "))
	fs.StringVar(&o.workloads, "workloads", "", "separated by commas, or all: "+strings.Join(workloadNames(), ", "))
	fs.StringVar(&o.goroutines, "goroutines", "", "how many call at the same time, separated by commas")
	fs.IntVar(&o.plan.rounds, "rounds", 5, "how often everything is measured")
	fs.DurationVar(&o.plan.duration, "d", 300*time.Millisecond, "length of one sample")
	fs.IntVar(&o.plan.servers, "servers", 0, "memcached servers to start (1; with -sessions 2)")
	fs.BoolVar(&o.unix, "unix", false, "unix sockets instead of TCP on loopback")
	fs.IntVar(&o.plan.blasterConns, "blaster-conns", memcache.DefaultConns, "connections of the contender «blaster»")
	fs.StringVar(&o.benchstat, "benchstat", "", "a `folder` to write a file for benchstat into, for each contender")
	fs.StringVar(&o.chart, "chart", "", "an SVG `file` to write a chart into")
	fs.StringVar(&o.profile, "cpuprofile", "", "a `file` to write a CPU profile of all contenders into")
	fs.BoolVar(&o.guard, "guard", false, fmt.Sprintf("fail if a workload at %d goroutines falls below two thirds of its goal;\nwithout other flags, measure just what that takes", guardedAt))
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("what is %q? All is said with flags; -h lists them", fs.Arg(0))
	}
	return o, o.fillPlan()
}

// fillPlan fills in defaults, and turns names into what they name.
func (o *options) fillPlan() (err error) {
	p := &o.plan
	all, peers, workloads, goroutines, servers := clients, "grafana,memcachier,rainycape,pingpong,blaster", "get100", "1,8,64,512", 1
	p.baseline, o.subject = clientBaseline, clientSubject
	if o.sessions {
		all, peers, workloads, goroutines, servers = managers, strings.Join(names(managers), ","), "own,shared", "1,8,16,64", 2
		p.baseline, o.subject = sessionBaseline, sessionSubject
	}
	if o.guard {
		peers, workloads, goroutines = p.baseline, guarded(), strconv.Itoa(guardedAt)
	}
	chosen := append(strings.Split(cmp.Or(o.peers, peers), ","), o.subject, p.baseline)
	if p.contenders, err = selectContenders(all, chosen); err != nil {
		return err
	}
	if p.workloads, err = selectWorkloads(cmp.Or(o.workloads, workloads)); err != nil {
		return err
	}
	if slices.ContainsFunc(p.workloads, workload.ofSessions) != o.sessions {
		return fmt.Errorf("-workloads own and shared go with -sessions, the others without")
	}
	for word := range strings.SplitSeq(cmp.Or(o.goroutines, goroutines), ",") {
		g, err := strconv.Atoi(word)
		if err != nil || g < 1 {
			return fmt.Errorf("-goroutines: %q is not a positive number", word)
		}
		p.goroutines = append(p.goroutines, g)
	}
	p.servers = cmp.Or(p.servers, servers)
	if p.rounds < 1 || p.servers < 1 || p.blasterConns < 1 || p.duration <= 0 {
		return fmt.Errorf("-rounds, -servers, -blaster-conns and -d must be positive")
	}
	return nil
}

// profiled carries out the plan, under the profiler if that is wanted.
func (o options) profiled() ([]outcome, error) {
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	return o.plan.run()
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
	outcomes, err := o.profiled()
	if err != nil {
		return err
	}
	reportTables(out, outcomes)
	for _, c := range o.plan.contenders {
		if c.name != o.plan.baseline {
			reportSummary(out, o.plan, outcomes, c.name)
		}
	}
	if o.benchstat != "" {
		if err := writeBenchstat(o.benchstat, outcomes); err != nil {
			return err
		}
	}
	if o.chart != "" {
		if err := writeChart(o.chart, o.plan, outcomes, caption); err != nil {
			return err
		}
	}
	if o.guard {
		return o.watch(outcomes)
	}
	return nil
}

// watch fails if a workload has become slow: what is too slow is measured again,
// for what else the machine does may have met one contender only.
func (o options) watch(outcomes []outcome) error {
	slow, err := guard(outcomes, o.subject)
	if err == nil {
		return nil
	}
	fmt.Fprintf(o.plan.progress, "\n%v\nOnce more:\n", err)
	o.plan.workloads = slow
	if outcomes, err = o.plan.run(); err != nil {
		return err
	}
	_, err = guard(outcomes, o.subject)
	return err
}
