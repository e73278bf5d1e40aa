package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// kind is what a workload's operation does.
type kind uint8

const (
	get      kind = iota
	getInto       // a get into the caller's buffer, by clients that have it
	getMiss       // a get of a key that is not there
	set           // of a key that has a value after the first time
	getMulti      // many keys in one call
	mix           // nine gets, one set
)

// workload is one row of the comparison.
type workload struct {
	name  string // for -workloads
	title string // for people
	kind  kind
	size  int   // of the values, in bytes
	batch int   // getMulti: keys in one operation
	at    []int // only at these concurrencies; nil means any

	// goal is the capacity at 64 goroutines, as a multiple of the baseline's, that
	// was set; 0 means none. -guard watches over two thirds of it, less noise
	// where what is reached lies close above that.
	goal  float64
	tight bool
}

// clientWorkloads are all there are, in the order of reports.
var clientWorkloads = []workload{
	{name: "get100", title: "Get 100 B", kind: get, size: 100, goal: 6, tight: true},
	{name: "get1k", title: "Get 1 KiB", kind: get, size: 1 << 10, goal: 5, tight: true},
	{name: "get10k", title: "Get 10 KiB", kind: get, size: 10 << 10, goal: 2.3},
	{name: "get100k", title: "Get 100 KiB", kind: get, size: 100 << 10},
	{name: "into100", title: "GetInto 100 B", kind: getInto, size: 100},
	{name: "into100k", title: "GetInto 100 KiB", kind: getInto, size: 100 << 10, goal: 1.8},
	{name: "miss", title: "Get miss", kind: getMiss, goal: 7, tight: true},
	{name: "set100", title: "Set 100 B", kind: set, size: 100, goal: 5},
	{name: "set10k", title: "Set 10 KiB", kind: set, size: 10 << 10, goal: 2.4},
	{name: "multi10", title: "GetMulti 10", kind: getMulti, size: 100, batch: 10, goal: 2},
	{name: "multi100", title: "GetMulti 100", kind: getMulti, size: 100, batch: 100, goal: 1.6},
	{name: "mix1k", title: "9:1 mix 1 KiB", kind: mix, size: 1 << 10, goal: 4.5},
}

// selectWorkloads returns the workloads that a comma-separated list names.
func selectWorkloads(list string) ([]workload, error) {
	if list == "all" {
		return clientWorkloads, nil
	}
	all := slices.Concat(clientWorkloads, sessionWorkloads)
	var chosen []workload
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(w workload) bool { return w.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no workload %q; there are: %s", name, strings.Join(workloadNames(), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func workloadNames() []string {
	var names []string
	for _, w := range slices.Concat(clientWorkloads, sessionWorkloads) {
		names = append(names, w.name)
	}
	return names
}

// ofSessions tells whether w is one for session managers.
func (w workload) ofSessions() bool { return w.at != nil }

// keys returns the keys that the workload works on. Their number keeps the
// whole under 10 MB, so that nothing is evicted.
func (w workload) keys() []string {
	keys := make([]string, min(1000, max(50, 2<<20/max(w.size, 1))))
	for i := range keys {
		keys[i] = fmt.Sprintf("%s:%06d", w.name, i)
	}
	return keys
}

func (w workload) value() []byte {
	return slices.Repeat([]byte("0123456789"), w.size/10+1)[:w.size]
}

// errMiss is what an adapter returns for a key that is not there.
var errMiss = errors.New("miss")

// errWrong means that a client returned something that was not stored.
var errWrong = errors.New("wrong value")

// errUnsupported is what an adapter returns for what its client cannot do.
var errUnsupported = errors.New("unsupported")

// client is what every client that is compared can do.
type client interface {
	get(key string) ([]byte, error) // errMiss
	set(key string, value []byte) error
	getMulti(keys []string) (found int, err error)
	close()
}

// intoGetter is a client that reads values into a buffer of the caller.
type intoGetter interface {
	getInto(key string, buf []byte) ([]byte, error)
}

// load stores what the workload reads.
func (w workload) load(c client) error {
	if w.kind == getMiss {
		return nil
	}
	value := w.value()
	for _, key := range w.keys() {
		if err := c.set(key, value); err != nil {
			return fmt.Errorf("set: %w", err)
		}
	}
	return nil
}

// step is one operation of one goroutine; it returns how many were done.
type step func() (int, error)

// steps returns the work of one goroutine per element.
func (w workload) steps(c client, goroutines int) []step {
	steps := make([]step, goroutines)
	keys := w.keys()
	for i := range steps {
		steps[i] = w.step(c, keys, i*len(keys)/goroutines)
	}
	return steps
}

// step works through keys from start on, over and over.
func (w workload) step(c client, keys []string, start int) step {
	value, buf := w.value(), make([]byte, 0, w.size)
	next := func() string {
		start = (start + 1) % len(keys)
		return keys[start]
	}
	get1 := func() (int, error) {
		got, err := c.get(next())
		return 1, w.check(got, err)
	}
	set1 := func() (int, error) { return 1, c.set(next(), value) }

	switch w.kind {
	case getInto:
		if into, ok := c.(intoGetter); ok {
			return func() (int, error) {
				got, err := into.getInto(next(), buf)
				return 1, w.check(got, err)
			}
		}
	case set:
		return set1
	case getMulti:
		return func() (int, error) {
			start = (start + w.batch) % (len(keys) - w.batch)
			found, err := c.getMulti(keys[start : start+w.batch])
			if err == nil && found != w.batch {
				err = errWrong
			}
			return 1, err
		}
	case mix:
		turn := start
		return func() (int, error) {
			turn++
			if w.stores(turn) {
				return set1()
			}
			return get1()
		}
	}
	return get1
}

// stores tells whether the operation of that number is a set.
func (w workload) stores(turn int) bool { return w.kind == set || w.kind == mix && turn%10 == 0 }

// check says whether a get brought what was stored.
func (w workload) check(got []byte, err error) error {
	switch {
	case w.kind == getMiss && errors.Is(err, errMiss):
		return nil
	case w.kind == getMiss && err == nil:
		return errWrong
	case err == nil && len(got) != w.size:
		return errWrong
	}
	return err
}
