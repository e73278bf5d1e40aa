package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
)

// cell is one place in the comparison: a workload at a concurrency.
type cell struct {
	workload
	goroutines   int
	addrs        []string
	blasterConns int
}

func (c cell) String() string { return fmt.Sprintf("%s, %d goroutines", c.title, c.goroutines) }

// session is a contender that is connected and has stored what it will read.
type session interface {
	steps() []step // one for each goroutine
	close()
}

// contender is something to compare.
type contender struct {
	name string
	note string                      // for people: what it is and how it is set up
	open func(cell) (session, error) // nil, nil: it cannot do this workload
}

// baseline is what all ratios refer to.
const baseline = "gomemcache"

// subject is what is compared with the others.
const subject = "gomemcache"

var contenders = []contender{
	{baseline, "bradfitz/gomemcache, MaxIdleConns = goroutines", openClient(openGomemcache)},
	{"grafana", "grafana/gomemcache, MaxIdleConns = goroutines", openClient(openGrafana)},
	{"memcachier", "memcachier/mc v3, PoolSize = goroutines", openClient(openMemcachier)},
	{"rainycape", "rainycape/memcache, MaxIdleConnsPerAddr = goroutines", openClient(openRainycape)},
	{"pingpong", "no client: a connection per goroutine, classic get, one at a time", openPingPong},
	{"blaster", "no client: all requests in flight at once on -blaster-conns connections, meta get", openBlaster},
}

// selectContenders returns the contenders that are named, each once.
func selectContenders(names ...string) ([]contender, error) {
	for _, name := range names {
		if !slices.Contains(contenderNames(), name) {
			return nil, fmt.Errorf("no contender %q; there are: %s", name, strings.Join(contenderNames(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(contenders), func(c contender) bool { return !slices.Contains(names, c.name) }), nil
}

func contenderNames() []string {
	names := make([]string, len(contenders))
	for i, c := range contenders {
		names[i] = c.name
	}
	return names
}

// openClient makes a contender of a client.
func openClient(open func(addrs []string, goroutines int) (client, error)) func(cell) (session, error) {
	return func(cell cell) (session, error) {
		c, err := open(cell.addrs, cell.goroutines)
		if err != nil {
			return nil, err
		}
		if err := cell.load(c); err != nil {
			c.close()
			return nil, err
		}
		s := clientSession{c, cell.workload.steps(c, cell.goroutines)}
		if _, err := s.work[0](); err == errUnsupported {
			s.close()
			return nil, nil
		}
		return s, nil
	}
}

type clientSession struct {
	c    client
	work []step
}

func (s clientSession) steps() []step { return s.work }
func (s clientSession) close()        { s.c.close() }

// plan is what one call of the program does.
type plan struct {
	contenders   []contender // the baseline is one of them
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
	cell    cell
	results []result
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
			o, err := p.runCell(cell{w, g, addrs, p.blasterConns}, controls)
			if err != nil {
				return nil, fmt.Errorf("%s, %d goroutines: %w", w.title, g, err)
			}
			outcomes = append(outcomes, o)
		}
	}
	return outcomes, nil
}

// runCell opens all contenders, then measures them in turn, A B C A B C: what
// else happens on the machine meets all of them alike.
func (p plan) runCell(c cell, controls []*control) (outcome, error) {
	o := outcome{cell: c}
	var sessions []session
	defer func() {
		for _, s := range sessions {
			s.close()
		}
	}()
	for _, contender := range p.contenders {
		s, err := contender.open(c)
		if err != nil {
			return o, fmt.Errorf("%s: %w", contender.name, err)
		}
		if s != nil {
			sessions = append(sessions, s)
			o.results = append(o.results, result{contender: contender.name})
		}
	}
	for round := range p.rounds {
		for i, s := range sessions {
			if _, err := measure(s.steps(), p.duration/10, controls); err != nil { // caches, pools and branch predictors
				return o, err
			}
			sample, err := measure(s.steps(), p.duration, controls)
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
