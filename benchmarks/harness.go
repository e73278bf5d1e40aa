package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
)

// cell is one place in the comparison: a workload at a concurrency.
type cell struct {
	workload
	goroutines   int
	addrs        []string
	blasterConns int
}

func (c cell) String() string { return fmt.Sprintf("%s, %d at a time", c.title, c.goroutines) }

// runner is a contender that is set up for a cell: connected, with everything
// stored that it will read.
type runner interface {
	run(d time.Duration, servers []*control) (*sample, error)
	close()
}

// contender is something to compare.
type contender struct {
	name string
	note string                     // for people: what it is and how it is set up
	open func(cell) (runner, error) // nil, nil: it cannot do this workload
}

// clientBaseline is what the ratios of clients refer to.
const clientBaseline = "gomemcache"

// clientSubject is what is compared with the others.
const clientSubject = "memcache"

// clients are all that can be compared.
var clients = []contender{
	{clientSubject, "this repository, defaults", openClient(openOurs(memcache.Text))},
	{clientBaseline, "bradfitz/gomemcache, MaxIdleConns = goroutines", openClient(openGomemcache)},
	{"grafana", "grafana/gomemcache, MaxIdleConns = goroutines", openClient(openGrafana)},
	{"memcachier", "memcachier/mc v3, PoolSize = goroutines", openClient(openMemcachier)},
	{"rainycape", "rainycape/memcache, MaxIdleConnsPerAddr = goroutines", openClient(openRainycape)},
	{"classic", "this repository, Protocol: Classic", openClient(openOurs(memcache.Classic))},
	{"meta", "this repository, Protocol: Meta", openClient(openOurs(memcache.Meta))},
	{"binary", "this repository, Protocol: Binary", openClient(openOurs(memcache.Binary))},
	{"pingpong", "no client: a connection per goroutine, classic get, one at a time", openPingPong},
	{"blaster", "no client: all requests in flight at once on -blaster-conns connections, meta get", openBlaster},
}

// selectContenders returns those of all that are named, each once.
func selectContenders(all []contender, chosen []string) ([]contender, error) {
	for _, name := range chosen {
		if !slices.Contains(names(all), name) {
			return nil, fmt.Errorf("no contender %q; there are: %s", name, strings.Join(names(all), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(c contender) bool { return !slices.Contains(chosen, c.name) }), nil
}

func names(all []contender) []string {
	list := make([]string, len(all))
	for i, c := range all {
		list[i] = c.name
	}
	return list
}

// openClient makes a contender of a client.
func openClient(open func(addrs []string, goroutines int) (client, error)) func(cell) (runner, error) {
	return func(cell cell) (runner, error) {
		c, err := open(cell.addrs, cell.goroutines)
		if err != nil {
			return nil, err
		}
		if err := cell.load(c); err != nil {
			c.close()
			return nil, err
		}
		s := stepper{cell.steps(c, cell.goroutines), c.close}
		if _, err := s.steps[0](); err == errUnsupported {
			s.close()
			return nil, nil
		}
		return s, nil
	}
}

// stepper is the runner of everything that lives in this process.
type stepper struct {
	steps []step
	end   func()
}

func (s stepper) run(d time.Duration, servers []*control) (*sample, error) {
	return measure(s.steps, d, servers)
}

func (s stepper) close() { s.end() }

// plan is what one call of the program does.
type plan struct {
	contenders   []contender
	baseline     string // the contender that ratios refer to
	workloads    []workload
	goroutines   []int
	rounds       int
	duration     time.Duration // of one sample
	servers      int
	unix         string // folder for sockets; "" means TCP
	blasterConns int
	progress     io.Writer
}

// result is what a contender did in a cell, a sample for each round.
type result struct {
	contender string
	samples   []*sample
}

// outcome is everything known about a cell.
type outcome struct {
	cell     cell
	baseline string
	results  []result
}

// result returns what the contender of that name did; nil if it did not run.
func (o outcome) result(name string) *result {
	for i := range o.results {
		if o.results[i].contender == name {
			return &o.results[i]
		}
	}
	return nil
}

// run starts servers and goes through all cells.
func (p plan) run() ([]outcome, error) {
	var addrs []string
	var controls []*control
	for i := range p.servers {
		args := []string{"-t", "1", "-m", "512", "-c", "8192"}
		if p.unix != "" {
			args = append(args, "-s", fmt.Sprintf("%s/%d.sock", p.unix, i))
		}
		server, err := memcached.Run(args...)
		if err != nil {
			return nil, err
		}
		defer server.Close()
		c, err := openControl(server.Addr())
		if err != nil {
			return nil, err
		}
		defer c.close()
		addrs, controls = append(addrs, server.Addr()), append(controls, c)
	}
	var outcomes []outcome
	for _, w := range p.workloads {
		for _, g := range p.goroutines {
			if w.at != nil && !slices.Contains(w.at, g) {
				continue
			}
			o, err := p.runCell(cell{w, g, addrs, p.blasterConns}, controls)
			if err != nil {
				return nil, fmt.Errorf("%s at %d: %w", w.title, g, err)
			}
			outcomes = append(outcomes, o)
		}
	}
	return outcomes, nil
}

// runCell opens all contenders, then measures them in turn, A B C A B C: what
// else happens on the machine meets all of them alike.
func (p plan) runCell(c cell, controls []*control) (outcome, error) {
	o := outcome{cell: c, baseline: p.baseline}
	var runners []runner
	defer func() {
		for _, r := range runners {
			r.close()
		}
	}()
	for _, contender := range p.contenders {
		r, err := contender.open(c)
		if err != nil {
			return o, fmt.Errorf("%s: %w", contender.name, err)
		}
		if r != nil {
			runners = append(runners, r)
			o.results = append(o.results, result{contender: contender.name})
		}
	}
	for round := range p.rounds {
		for i, r := range runners {
			if _, err := r.run(p.duration/10, controls); err != nil { // caches, pools and branch predictors
				return o, err
			}
			sample, err := r.run(p.duration, controls)
			if err != nil {
				return o, err
			}
			if sample.ops == 0 {
				return o, fmt.Errorf("%s did nothing: %w", o.results[i].contender, sample.firstErr)
			}
			o.results[i].samples = append(o.results[i].samples, sample)
		}
		reportRound(p.progress, o, round)
	}
	return o, nil
}
