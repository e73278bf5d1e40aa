package msm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed99545744/msm/memcache"
)

// Reconfigure puts another Config in force while requests run. Those under way
// end with the one that they began with; what comes is served with the new one.
// Every field may change. A cfg with problems changes nothing, and the error
// joins them all as that of New does. After Shutdown it is an error, too.
//
// Sessions stay what they are. If MemcachedNodes, FailoverNodes, Client, NonSticky,
// Disabled or StorageKeyPrefix changes, requests that come wait until those under
// way have left, OperationTimeout at most, and what is not stored yet has been
// stored on the nodes that there were, four times OperationTimeout at most. What
// cannot be stored then is stored later. For ten seconds, responses of sessions
// that are not sticky wait for both copies.
//
// Sticky sessions of this process move to new nodes within seconds, and others
// when they are asked for, from a node that they were on and that has stayed.
// Exchange nodes one by one, and in all instances. With another StorageKeyPrefix,
// sessions that are in memcached alone are not found any more, and with a Cookie
// of another name none are. With Disabled, this process goes on with the sticky
// sessions that it has, and memcached gets what has changed when it is enabled
// again, with NonSticky before requests go on.
//
// With Config.Client nil, connections are made anew if the nodes, the login, the
// protocol, OperationTimeout or Logger change. The old ones are closed when the
// last request has left that uses them. A Client of the caller's may be closed
// when a request that began before is over; its own SetRing changes nodes, too.
func (m *Manager) Reconfigure(cfg Config) error {
	return m.modify(func(now *Config) error {
		*now = cfg
		return nil
	})
}

// modify reconfigures m with what change makes of the Config in force.
func (m *Manager) modify(change func(*Config) error) error {
	m.change.Lock()
	defer m.change.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !m.ending.watch(cancel) {
		return errOver
	}
	old := m.core.Load()
	cfg := old.cfg
	if err := change(&cfg); err != nil {
		return err
	}
	c, err := m.build(cfg, old)
	if err != nil {
		return err
	}
	if c.store != nil && old.store != nil {
		old.store.seal.next.Store(c.store.seal)
	}
	moved := c.isElsewhere(old)
	if moved && !m.handOver(ctx, old, c) {
		c.own.release()
		return errOver
	}
	if old.cfg.NonSticky && !cfg.NonSticky {
		old.local.forget()
	}
	m.install(c)
	m.retireLater(old, moved)
	return nil
}

// isElsewhere tells whether sessions are to be on other places than with old.
func (c *core) isElsewhere(old *core) bool {
	if c.store == nil || old.store == nil || c.cfg.NonSticky != old.cfg.NonSticky || c.store.keys != old.store.keys || !maps.Equal(c.store.failover, old.store.failover) {
		return true
	}
	was, is := old.store.client, c.store.client
	anyRing := c.own == nil || old.own == nil // of the caller's clients: the strategies may differ
	return was != is && (anyRing || !slices.Equal(was.Ring().Nodes(), is.Ring().Nodes()))
}

// moveTime is for how long commits of sessions that are not sticky wait for both
// copies when nodes have changed. Requests that meet a session on its way from old
// places to new ones may put versions on top of each other; one that is on a
// single node, for the background to copy, would be lost.
const moveTime = 10 * time.Second

// handOver stores what only this process has, so that the core that comes finds
// it. Who comes has to wait: where it is decided which of two commits of a session
// is first must be the same for both. Requests that take longer than
// OperationTimeout go on beside those of the next core, as on another instance.
//
// It is false if ctx ended: then Shutdown stores what is left.
func (m *Manager) handOver(ctx context.Context, old, next *core) bool {
	cores := append([]*core{old}, m.unmoved()...)
	patience, cancel := context.WithTimeout(ctx, old.cfg.OperationTimeout)
	defer cancel()
	for _, c := range cores {
		c.gate.shut(patience) // who is left does not keep others out for longer
	}
	storing, cancel := context.WithTimeout(ctx, old.storeTimeout())
	defer cancel()
	local := *old.local
	if local.store == nil && next.cfg.NonSticky {
		local.store = next.store // it was disabled, and nobody will look into the table
	}
	local.drain()
	for _, c := range cores {
		c.queue.hurry(storing)
	}
	return ctx.Err() == nil
}

// unmoved returns the cores that were replaced by ones with the same places, and
// are still busy. They are not returned again.
func (m *Manager) unmoved() (cores []*core) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c, d := range m.leaving {
		if !d.moved {
			d.moved = true
			m.leaving[c] = d
			cores = append(cores, c)
		}
	}
	return cores
}

// departure is a core that was replaced and still serves requests.
type departure struct {
	abandon context.CancelFunc
	done    <-chan struct{} // closed when it is over
	moved   bool            // it was waited for when the places of sessions changed
}

// retireLater ends a core that was replaced when its requests have left.
func (m *Manager) retireLater(c *core, moved bool) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m.mu.Lock()
	m.leaving[c] = departure{cancel, done, moved}
	m.mu.Unlock()
	// Ends when the last request has left; Shutdown waits, and cuts it short.
	go func() {
		defer close(done)
		defer cancel()
		if err := errors.Join(c.gate.shut(ctx), c.end(ctx)); err != nil {
			c.log.Error("msm: requests that began before Reconfigure were cut off by Shutdown", "err", err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.leaving, c)
	}()
}

// Shutdown lets no further request use sessions, waits for those under way, and
// stores what is not stored yet. When ctx ends first it returns its error, and
// what was not stored by then is lost, if no other copy has it; connections to
// nodes that do not answer are closed within OperationTimeout then. Shut the HTTP
// server down before.
//
// A Reconfigure that is under way gives up, and changes nothing. A further call
// waits until the first one is done, or its own ctx ends.
func (m *Manager) Shutdown(ctx context.Context) error {
	first, done := m.ending.begin()
	if !first {
		return await(ctx, done)
	}
	defer m.ending.finish()
	m.change.Lock() // soon: Reconfigure waits no more
	defer m.change.Unlock()
	c := m.core.Swap(nil)
	close(c.replaced)
	err := errors.Join(m.awaitDepartures(ctx), c.gate.shut(ctx))
	c.local.drain()
	err = errors.Join(err, c.end(ctx))
	m.table.close()
	m.outreach.end()
	return err
}

// awaitDepartures waits until no core is left that was replaced.
func (m *Manager) awaitDepartures(ctx context.Context) (err error) {
	m.mu.Lock()
	var all []departure
	for _, d := range m.leaving {
		all = append(all, d)
	}
	m.mu.Unlock()
	for _, d := range all {
		if e := await(ctx, d.done); e != nil {
			d.abandon()
			<-d.done // soon: it waits no more
			err = e
		}
	}
	return err
}

// end stores what waits, and lets go of the client.
func (c *core) end(ctx context.Context) error {
	err := c.queue.drain(ctx)
	closed := make(chan struct{})
	go func() { // ends within OperationTimeout, as Close does, also when ctx ends before
		defer close(closed)
		c.own.release()
	}()
	await(ctx, closed)
	return err
}

// ownClient is a client that was made here, for one core after another.
type ownClient struct {
	*memcache.Client
	users atomic.Int32
}

func newOwnClient(c *memcache.Client) *ownClient {
	own := &ownClient{Client: c}
	own.users.Store(1)
	return own
}

// share is for a core that uses the client as well. The caller knows one that
// has not released it.
func (c *ownClient) share() *ownClient {
	c.users.Add(1)
	return c
}

// release closes the client if nobody else uses it. nil is no client.
func (c *ownClient) release() {
	if c != nil && c.users.Add(-1) == 0 {
		c.Close() // its error is always nil
	}
}
