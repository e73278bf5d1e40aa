package msm

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// A chaos run is users, instances and nodes, and one fault after the other:
// nodes are killed, frozen, slow, reset, cut off and come back, with what they
// had or empty; instances are shut down and killed. Users send requests all the
// time, and every answer is held against all that was answered before:
//
//   - No acknowledged change is lost while a node that acknowledged it lives.
//   - Nothing older is read than the reader's last acknowledged change. With
//     sticky sessions, what another instance has acknowledged may take the
//     documented second.
//   - No session is seen again that was ended: old cookies keep coming.
//   - Nobody is shown another session, or answered by a new one.
//   - No increment counts twice.
//   - Between two faults every session gets whole again, in bounded time.
//
// In memory the run lives in a synctest bubble: seconds of waiting for a frozen
// node cost nothing, and no slow machine makes a healthy node seem ill. The seed
// decides what is done; what happens at the same time differs from run to run.
//
// MSM_CHAOS_REQUESTS makes runs longer, MSM_CHAOS_SEED repeats one: make chaos.

const (
	chaosUsers            = 32
	chaosApps             = 3
	chaosOperationTimeout = 200 * time.Millisecond
	chaosBackupTimeout    = 50 * time.Millisecond
	patience              = 20 * time.Second // for a session to get whole
)

// chaosMode is what a run is about.
type chaosMode struct {
	name      string
	nonSticky bool
	async     bool // commits do not wait for second copies
	locking   string
	protocol  memcache.Protocol
	processes bool          // memcached child processes instead of a bubble
	think     time.Duration // on average, between two requests of a user
}

// timeouts are those of the instances. Where the machine's load counts they are
// longer, so that nobody who is well seems ill.
func (m *chaosMode) timeouts() (operation, backup time.Duration) {
	if m.processes {
		return 3 * chaosOperationTimeout, 6 * chaosBackupTimeout
	}
	return chaosOperationTimeout, chaosBackupTimeout
}

// staleness is for how long a sticky session elsewhere may be older.
func (m *chaosMode) staleness() time.Duration {
	operation, _ := m.timeouts()
	return confirmInterval + operation
}

func TestChaos(t *testing.T) {
	const bubble, real = 50 * time.Millisecond, 20 * time.Millisecond
	for _, mode := range []chaosMode{
		{name: "sticky", think: bubble},
		{name: "sticky, binary", think: bubble, protocol: memcache.Binary},
		{name: "non-sticky", nonSticky: true, think: bubble},
		{name: "non-sticky, classic", nonSticky: true, think: bubble, protocol: memcache.Classic},
		{name: "non-sticky, asynchronous", nonSticky: true, async: true, think: bubble},
		{name: "non-sticky, locks", nonSticky: true, locking: "all", think: bubble},
		{name: "sticky, processes", think: real, processes: true},
		{name: "non-sticky, processes", nonSticky: true, think: real, processes: true},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel() // most of the time they wait for something
			size, seed := setting(t, "MSM_CHAOS_REQUESTS", 2000), uint64(setting(t, "MSM_CHAOS_SEED", 0))
			if seed == 0 {
				seed = rand.Uint64N(1_000_000)
			}
			t.Logf("seed %d, %d requests", seed, size)
			if mode.processes {
				newChaos(t, mode, newProcessWard(t), seed, size).run()
				return
			}
			synctest.Test(t, func(t *testing.T) {
				newChaos(t, mode, newMemoryWard(t), seed, size).run()
			})
		})
	}
}

func setting(t *testing.T, name string, fallback int) int {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// chaos is one run.
type chaos struct {
	// Immutable.
	t     *testing.T
	mode  chaosMode
	seed  uint64
	size  int // requests
	ward  ward
	rng   *rand.Rand // of the faults, owned by run
	began time.Time
	keys  keyspace
	apps  []*app
	users []*person
	wake  chan struct{} // something has happened that run may wait for

	requests atomic.Int64
	tally    tally
	crashes  sync.WaitGroup // of instances that run on, cut off

	mu         sync.Mutex // guards what follows; it comes after those of users
	phase      int64
	hurry      bool // visits are due
	over       bool
	state      [wardSize]ailment
	lives      [wardSize]int // raised when a node loses what it has
	faults     []incident
	violations int
}

func newChaos(t *testing.T, mode chaosMode, w ward, seed uint64, size int) *chaos {
	c := &chaos{
		t: t, mode: mode, seed: seed, size: size, ward: w, began: time.Now(),
		rng: rand.New(rand.NewPCG(seed, 0)), wake: make(chan struct{}, 1), lives: [wardSize]int{1, 1, 1},
	}
	for i := range chaosApps {
		c.apps = append(c.apps, newApp(c, i))
	}
	for i := range chaosUsers {
		c.users = append(c.users, &person{c: c, number: i, rng: rand.New(rand.NewPCG(seed, uint64(1+i)))})
	}
	c.keys = c.apps[0].running.Load().manager.core.Load().store.keys
	return c
}

// run is the life of a run.
func (c *chaos) run() {
	var group sync.WaitGroup
	for _, u := range c.users {
		group.Go(u.live) // ends when the run is over; waited for below
	}
	for int(c.requests.Load()) < c.size && !c.failed() {
		c.nextPhase(c.fault)
	}
	for i := range wardSize {
		if c.state[i] != healthy && !c.failed() {
			c.nextPhase(func() { c.heal(i) })
		}
	}
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	group.Wait()
	if !c.failed() {
		c.sleep(2 * c.mode.staleness()) // after which there is no excuse
		for _, u := range c.users {
			group.Go(u.close) // ends with its last request; waited for below
		}
		group.Wait()
	}
	for _, a := range c.apps {
		a.stop()
	}
	c.crashes.Wait()
	c.tally.report(c)
}

// nextPhase lets a fault happen while requests are under way, and returns when
// every user's session has been visited since.
func (c *chaos) nextPhase(fault func()) {
	first := c.requests.Load()
	fault()
	c.mu.Lock()
	c.phase++
	c.mu.Unlock()
	quiet := first + int64(20+c.rng.IntN(60))
	if c.rng.IntN(8) == 0 {
		quiet += 400 // for longer than a second
	}
	c.await(func() bool { return c.requests.Load() >= quiet })
	c.setHurry(true)
	c.await(c.allVisited)
	c.setHurry(false)
}

// await returns when done, or when the run has failed.
func (c *chaos) await(done func() bool) {
	for !done() && !c.failed() {
		<-c.wake // comes with every request and every visit
	}
}

// moved wakes run.
func (c *chaos) moved() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *chaos) setHurry(hurry bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurry = hurry
}

func (c *chaos) allVisited() bool {
	phase, _, _ := c.look()
	for _, u := range c.users {
		if u.visited.Load() < phase {
			return false
		}
	}
	return true
}

// look is what users want to know of the run.
func (c *chaos) look() (phase int64, hurry, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase, c.hurry, c.over || c.violations > 0
}

func (c *chaos) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.violations > 0
}

// sleep lets time pass, which in a bubble costs none.
func (c *chaos) sleep(d time.Duration) { sleep(context.Background(), d) }

// send sends a request to an instance, or the next one that runs.
func (c *chaos) send(r *request, place int) {
	defer c.moved()
	c.requests.Add(1)
	for i := range chaosApps {
		a := c.apps[(place+i)%chaosApps]
		if p := a.running.Load(); p != nil {
			r.send(a, p)
			return
		}
	}
}
