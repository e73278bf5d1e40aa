package main

import (
	"bufio"
	"fmt"
	"math"
	"math/bits"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sample is what one contender did in one round of one cell.
type sample struct {
	ops, errors          int64
	lost                 int64 // updates that were acknowledged and are gone
	firstErr             error
	wall                 time.Duration
	clientCPU, serverCPU time.Duration
	allocs, calls        uint64 // heap allocations; read and write calls of this process
	latency              histogram
}

// capacity is operations per second if both cores did nothing else: it does
// not depend on what other programs took of them meanwhile.
func (s *sample) capacity() float64 {
	const cores = 2
	return cores * float64(s.ops) / (s.clientCPU + s.serverCPU).Seconds()
}

func (s *sample) throughput() float64 { return float64(s.ops) / s.wall.Seconds() }

// latencyEvery is how many operations go by for each that is timed: reading
// the clock costs as much as a tenth of the fastest operation.
const latencyEvery = 8

// measure runs steps and says what that cost this process and the servers.
func measure(steps []step, d time.Duration, servers []*control) (*sample, error) {
	runtime.GC()
	before, err := readMeters(servers)
	if err != nil {
		return nil, err
	}
	s := runSteps(steps, d)
	after, err := readMeters(servers)
	if err != nil {
		return nil, err
	}
	s.spent(before, after)
	return s, nil
}

// runSteps runs every step in a goroutine of its own, over and over for d.
func runSteps(steps []step, d time.Duration) *sample {
	var stop atomic.Bool
	var running sync.WaitGroup
	parts := make([]sample, len(steps))
	start := time.Now()
	for i, s := range steps {
		// Ends when stop is set, at the end of the step under way.
		running.Go(func() { parts[i].run(s, &stop) })
	}
	time.Sleep(d)
	stop.Store(true)
	running.Wait()
	total := &sample{wall: time.Since(start)}
	for i := range parts {
		total.add(&parts[i])
	}
	return total
}

// spent fills in what lies between two readings.
func (s *sample) spent(before, after meters) {
	s.clientCPU = after.clientCPU - before.clientCPU
	s.serverCPU = after.serverCPU - before.serverCPU
	s.allocs = after.allocs - before.allocs
	s.calls = after.calls - before.calls
}

// run does the work of one goroutine.
func (s *sample) run(do step, stop *atomic.Bool) {
	for n := 0; !stop.Load(); n++ {
		var start time.Time
		if n%latencyEvery == 0 {
			start = time.Now()
		}
		done, err := do()
		if err != nil {
			s.errors++
			s.firstErr = err
			continue
		}
		s.ops += int64(done)
		if n%latencyEvery == 0 {
			s.latency.add(time.Since(start))
		}
	}
}

func (s *sample) add(part *sample) {
	s.ops += part.ops
	s.errors += part.errors
	if s.firstErr == nil {
		s.firstErr = part.firstErr
	}
	s.latency.merge(&part.latency)
}

// meters are the counters that a sample is the difference of.
type meters struct {
	clientCPU, serverCPU time.Duration
	allocs, calls        uint64
}

func readMeters(servers []*control) (meters, error) {
	var m meters
	for _, s := range servers {
		cpu, err := s.cpu()
		if err != nil {
			return m, err
		}
		m.serverCPU += cpu
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return m, fmt.Errorf("getrusage: %w", err)
	}
	m.clientCPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.allocs = mem.Mallocs
	m.calls = readCalls()
	return m, nil
}

// readCalls returns the read and write calls of this process, as the kernel
// counts them (proc(5), /proc/pid/io); 0 where it does not.
func readCalls() uint64 {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var calls uint64
	for line := range strings.Lines(string(data)) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name == "syscr" || name == "syscw" {
			n, _ := strconv.ParseUint(number, 10, 64)
			calls += n
		}
	}
	return calls
}

// control asks a server for its own figures.
type control struct {
	nc net.Conn
	r  *bufio.Reader
}

func openControl(addr string) (*control, error) {
	nc, err := dial(addr)
	if err != nil {
		return nil, err
	}
	return &control{nc, bufio.NewReader(nc)}, nil
}

func (c *control) close() { c.nc.Close() }

// cpu returns the processor time that the server has used, which it tells to
// the microsecond (protocol.txt, "General-purpose statistics").
func (c *control) cpu() (time.Duration, error) {
	if _, err := c.nc.Write([]byte("stats\r\n")); err != nil {
		return 0, fmt.Errorf("stats: %w", err)
	}
	var total float64
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return 0, fmt.Errorf("stats: %w", err)
		}
		fields := strings.Fields(line)
		switch {
		case len(fields) == 1 && fields[0] == "END":
			return time.Duration(total * float64(time.Second)), nil
		case len(fields) == 3 && strings.HasPrefix(fields[1], "rusage_"):
			seconds, err := strconv.ParseFloat(fields[2], 64)
			if err != nil {
				return 0, fmt.Errorf("stats: %w", err)
			}
			total += seconds
		}
	}
}

// histogram counts durations in buckets that are 3 % wide.
type histogram struct {
	count   uint64
	buckets [40 * subBuckets]uint32
}

const subBuckets = 32

func (h *histogram) add(d time.Duration) {
	h.count++
	h.buckets[min(bucketOf(uint64(d)), len(h.buckets)-1)]++
}

// bucketOf numbers buckets so that each power of two has subBuckets of them.
func bucketOf(n uint64) int {
	exponent := max(bits.Len64(n), 6) - 6 // below 64 ns: one bucket per 1 ns
	return exponent*subBuckets + int(n>>exponent)
}

// lowest is the least duration of a bucket, the inverse of bucketOf.
func lowest(bucket int) time.Duration {
	if bucket < 2*subBuckets {
		return time.Duration(bucket)
	}
	exponent := bucket/subBuckets - 1
	return time.Duration((bucket - exponent*subBuckets) << exponent)
}

func (h *histogram) merge(other *histogram) {
	h.count += other.count
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
}

// quantile returns the duration that a share q of all stayed under.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.count)))
	for i, n := range h.buckets {
		if uint64(n) >= rank {
			return lowest(i)
		}
		rank -= uint64(n)
	}
	return 0
}
