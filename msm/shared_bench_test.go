package msm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
)

// BenchmarkSharedSession is what a page with many requests at a time does to one
// session: 8 clients in turn on 2 instances, over 2 memcached processes, each
// request with 5 ms of work and an increment. No increment may be lost. ideal is
// p99 as a multiple of 40 ms, in which all 8 have had their turn, and queue that of
// as many goroutines beside them that do nothing but such work, one at a time: what
// this machine lets a queue be, with all else that it does.
func BenchmarkSharedSession(b *testing.B) {
	for _, mode := range []string{"none", "all", "auto"} {
		b.Run(mode, func(b *testing.B) { benchmarkShared(b, mode, 8, 2, 5*time.Millisecond) })
	}
}

func benchmarkShared(b *testing.B, mode string, clients, instances int, work time.Duration) {
	cfg := Config{NonSticky: true, SessionBackupSync: true, LockingMode: mode}
	for i := range 2 {
		cfg.MemcachedNodes += fmt.Sprintf("n%d:%s ", i+1, memcached.Start(b).Addr())
	}
	ms := make([]*Manager, instances)
	for i := range ms {
		m, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer m.Shutdown(context.Background())
		ms[i] = m
	}
	first := new(browser)
	first.countSlowly(b, ms[0], 0)
	var (
		group   sync.WaitGroup
		started atomic.Int64
		took    = make([][]time.Duration, clients)
	)
	var over atomic.Bool
	queue := queueUp(clients, work, &over)
	b.ResetTimer()
	for i := range clients {
		group.Go(func() {
			for client := first.clone(); started.Add(1) <= int64(b.N); {
				start := time.Now()
				client.countSlowly(b, ms[i%instances], work)
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	group.Wait()
	b.StopTimer()
	over.Store(true)
	if got, want := first.countSlowly(b, ms[0], 0), b.N+2; got != want {
		b.Errorf("%d increments of %d are lost", want-got, want)
	}
	p50, p99 := percentiles(slices.Concat(took...))
	_, queued := percentiles(<-queue)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(p50)/1e6, "p50-ms")
	b.ReportMetric(float64(p99)/1e6, "p99-ms")
	b.ReportMetric(float64(p99)/float64(work*time.Duration(clients)), "ideal")
	b.ReportMetric(float64(queued)/float64(work*time.Duration(clients)), "queue")
}

func percentiles(took []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

// queueUp has clients work one at a time, until it is over, and then sends how
// long each time took, waiting included.
func queueUp(clients int, work time.Duration, over *atomic.Bool) <-chan []time.Duration {
	took, turn, result := make([][]time.Duration, clients), make(chan struct{}, 1), make(chan []time.Duration, 1)
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for !over.Load() {
				start := time.Now()
				turn <- struct{}{} // first come, first served
				<-time.After(work)
				<-turn
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	go func() { // ends with the clients
		group.Wait()
		result <- slices.Concat(took...)
	}()
	return result
}

// countSlowly raises the counter, with work to do before. The work is no
// computation: it is what a handler waits for.
func (b *browser) countSlowly(tb testing.TB, m *Manager, work time.Duration) (n int) {
	tb.Helper()
	w := b.visit(m, func(s *Session) {
		_, err1 := s.Info()
		<-time.After(work)
		err2 := visits.Update(s, func(old int, _ bool) (int, error) { return old + 1, nil })
		var err3 error
		n, _, err3 = visits.Get(s)
		if err := errors.Join(err1, err2, err3); err != nil {
			tb.Error(err)
		}
	})
	if w.Code != http.StatusOK {
		tb.Errorf("counting: status %d %s", w.Code, w.Body)
	}
	return n
}
