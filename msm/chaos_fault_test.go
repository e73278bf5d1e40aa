package msm

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// app is one instance of the application: the processes that run it, one after
// the other.
type app struct {
	c       *chaos
	number  int
	route   string
	running atomic.Pointer[process] // nil: none, the load balancer passes it over
}

// process is an instance from start to end.
type process struct {
	manager *Manager
	client  *memcache.Client
	crashed atomic.Bool // what it answers from now on never arrives
}

func newApp(c *chaos, number int) *app {
	a := &app{c: c, number: number, route: fmt.Sprint("app", number+1)}
	a.start()
	return a
}

func (a *app) start() {
	operation, backup := a.c.mode.timeouts()
	client, err := memcache.New(memcache.Config{
		Nodes: nodeList(a.c.ward), Protocol: a.c.mode.protocol, DialContext: a.c.ward.dial,
		Timeout: operation, DialTimeout: operation,
	})
	must(a.c.t, err)
	m, err := New(Config{
		Client: client, NonSticky: a.c.mode.nonSticky, LockingMode: a.c.mode.locking, Route: a.route,
		SessionBackupSync: !a.c.mode.async, SessionBackupTimeout: backup, OperationTimeout: operation,
	})
	must(a.c.t, err)
	a.running.Store(&process{manager: m, client: client})
}

// stop shuts the instance down: it answers what is under way, and stores what is
// not stored.
func (a *app) stop() {
	p := a.running.Swap(nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.manager.Shutdown(ctx); err != nil && !a.c.failed() {
		a.c.t.Errorf("%s: Shutdown: %v", a.route, err)
	}
	p.client.Close()
}

// crash ends the instance as a power cut would: nothing that it does from now on
// reaches a node or a browser.
func (a *app) crash() {
	p := a.running.Swap(nil)
	p.crashed.Store(true)
	a.c.crashes.Go(func() { // ends with the requests that are under way; run waits for it
		p.client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		p.manager.Shutdown(ctx) // cannot store anything any more
	})
}

// fault is what happens next.
func (c *chaos) fault() {
	ill := c.circumstances().ill()
	switch n := c.rng.IntN(10); {
	case n < 2:
		a := c.apps[c.rng.IntN(len(c.apps))]
		if c.rng.IntN(2) == 0 {
			c.happens("%s is shut down", a.route)
			a.stop()
		} else {
			c.happens("%s is killed", a.route)
			a.crash()
		}
		c.happens("%s is started", a.route)
		a.start()
	case len(ill) > 0 && (n < 6 || len(ill) == wardSize-1):
		c.heal(ill[c.rng.IntN(len(ill))])
	default:
		c.fallIll(c.rng.IntN(wardSize))
	}
}

// fallIll makes a node ill, or a frozen one die. One is always well.
func (c *chaos) fallIll(i int) {
	a := c.ward.ailments()[c.rng.IntN(len(c.ward.ailments()))]
	if a == swamped && c.mode.async {
		a = slow // a change that one node has is lost to who does not wait for that node
	}
	now := c.state[i] // which run alone changes
	switch {
	case now == dead:
		c.heal(i)
	case now != healthy:
		c.ail(i, dead)
	case a == dead && c.rng.IntN(2) == 0: // back at once, empty
		c.ail(i, dead)
		c.heal(i)
	default:
		c.ail(i, a)
	}
}

func (c *chaos) ail(i int, a ailment) {
	c.mu.Lock()
	c.state[i] = a
	if a == dead {
		c.lives[i]++
	}
	c.mu.Unlock()
	c.happens("n%d is %v", i+1, a)
	c.ward.afflict(i, a)
}

func (c *chaos) heal(i int) {
	was := c.state[i]
	c.ward.heal(i, was)
	c.happens("n%d is well, after it was %v", i+1, was)
	c.mu.Lock()
	c.state[i] = healthy
	c.mu.Unlock()
}

func (c *chaos) happens(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.faults = append(c.faults, incident{now, now, nil, fmt.Sprintf(format, args...)})
}

// circumstances is how the nodes are.
type circumstances struct {
	state [wardSize]ailment
	lives [wardSize]int
}

func (c *chaos) circumstances() circumstances {
	c.mu.Lock()
	defer c.mu.Unlock()
	return circumstances{c.state, c.lives}
}

func (s circumstances) ill() (nodes []int) {
	for i, a := range s.state {
		if a != healthy {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

func (s circumstances) healthy() int { return wardSize - len(s.ill()) }

// well is how many of the nodes that had something have it still, and are well.
func (s circumstances) well(held nodeSet) (n int) {
	for i, life := range held {
		if life == s.lives[i] && s.state[i] == healthy {
			n++
		}
	}
	return n
}

// inspect looks at the nodes themselves, and returns those that have a record
// like that.
func (c *chaos) inspect(base string, like func(*record) bool) (held nodeSet) {
	then := c.circumstances() // a node that loses it while we look does not count
	for i := range wardSize {
		if then.state[i] == dead {
			continue
		}
		rec, err := parseRecord(c.ward.look(i, c.keys.session(base)))
		if err == nil && like(rec) {
			held[i] = then.lives[i]
		}
	}
	return held
}

// tombstones is the nodes that know that an id has ended.
func (c *chaos) tombstones(id *identity) nodeSet {
	return c.inspect(id.base, func(rec *record) bool { return rec.dead != alive })
}

// protects tells whether a node lives on that has it.
func (c *chaos) protects(h nodeSet) bool {
	now := c.circumstances()
	for i, life := range h {
		if life != 0 && life == now.lives[i] {
			return true
		}
	}
	return false
}
