package msm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Manager keeps the sessions of one application. Make it with New, wrap the
// application's handler in Handler, and call Shutdown when the server has shut
// down. It is safe for concurrent use.
type Manager struct {
	core atomic.Pointer[core] // nil after Shutdown

	// Shared by all cores, and kept by themselves.
	table    *table // of sticky sessions
	stats    counters
	outreach outreach
	ending   *ending

	change sync.Mutex // held by Reconfigure and Shutdown from beginning to end

	mu      sync.Mutex // guards what follows
	leaving map[*core]departure
}

// core is what one Config has made: immutable, but for what keeps itself.
type core struct {
	cfg       Config     // with its defaults
	store     *store     // nil if sessions stay in this process
	own       *ownClient // the store's client; nil if it was not made here
	author    author     // of commits
	anonymous bool       // cookies name no node
	keeper    keeper
	local     *sticky // sees to the table; the keeper of sticky sessions
	locks     *locks  // nil: no request has its session to itself
	queue     *queue
	cookie    *cookieWriter
	codecs    codecs
	ignore    *pattern // of requests
	filter    *pattern // of attribute names that are stored; nil: all
	buffers   *sync.Pool
	stats     *counters // nil: nothing is counted
	log       *slog.Logger
	gate      gate          // of requests under way, and of sweeps
	replaced  chan struct{} // closed when it is in force no more
}

// New makes a Manager. It does no I/O: nodes may be down. The error joins every
// problem of cfg, each with its field and what to do.
func New(cfg Config) (*Manager, error) {
	m := &Manager{table: newTable(), ending: newEnding(), leaving: make(map[*core]departure)}
	c, err := m.build(cfg, nil)
	if err != nil {
		return nil, err
	}
	m.install(c)
	return m, nil
}

// build makes the core of a Config. It may share a client with the old one.
func (m *Manager) build(cfg Config, old *core) (*core, error) {
	cfg, err := cfg.withDefaults()
	var p problems
	p.check(err)
	c := &core{cfg: cfg, author: newAuthor(), buffers: newBufferPool(), log: cfg.Logger, codecs: newCodecs(cfg.Transcoder), replaced: make(chan struct{})}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if !cfg.DisableStatistics {
		c.stats = &m.stats
	}
	c.queue = newQueue(cfg.BackupThreadCount, c.storeTimeout(), c.lost)
	c.cookie, err = newCookieWriter(cfg.Cookie)
	p.check(err)
	c.ignore, err = compilePattern("RequestURIIgnorePattern", cfg.RequestURIIgnorePattern)
	p.check(err)
	c.filter, err = compilePattern("SessionAttributeFilter", cfg.SessionAttributeFilter)
	p.check(err)
	policy, err := parsePolicy(cfg.LockingMode)
	p.check(err)
	p.check(c.connect(old, &m.outreach))
	if err := errors.Join(p...); err != nil {
		c.own.release()
		return nil, err
	}
	m.keep(c, policy, old)
	return c, nil
}

// connect gives c its store, unless its sessions stay in this process.
func (c *core) connect(old *core, outreach *outreach) error {
	cfg := &c.cfg
	var p problems
	prefix, err := storagePrefix(cfg.StorageKeyPrefix, cfg.Host, cfg.Context, cfg.Version)
	p.check(err)
	seal, err := newSealer(cfg.ValueKeys)
	p.check(err)
	client, own, err := cfg.connect(old)
	p.check(err)
	c.own = own
	if client == nil {
		return errors.Join(p...)
	}
	nodes := client.Ring().Nodes()
	c.anonymous = isAnonymous(nodes)
	failover, err := cfg.parseFailover(nodes)
	p.check(err)
	if cfg.Disabled { // its nodes were checked, and are not used
		c.own.release()
		c.own = nil
		return errors.Join(p...)
	}
	c.store = &store{
		author: c.author, client: client, keys: keyspace{prefix}, seal: seal, failover: failover,
		maxInactive: cfg.MaxInactiveInterval, backupTimeout: min(cfg.SessionBackupTimeout, cfg.OperationTimeout), stats: c.stats, outreach: outreach,
	}
	if old != nil && old.store != nil && c.store.isLike(old.store) {
		c.store.nodes.Store(old.store.topology()) // sessions are where they were
	}
	return errors.Join(p...)
}

// keep gives c what keeps its sessions from one request to the next.
func (m *Manager) keep(c *core, policy policy, old *core) {
	cfg := &c.cfg
	var names []string
	if old != nil {
		names = old.local.names
		if !slices.Contains(names, old.cfg.Route) {
			names = append(slices.Clip(names), old.cfg.Route)
		}
	}
	c.local = &sticky{author: c.author, table: m.table, store: c.store, route: cfg.Route, names: names, sync: cfg.SessionBackupSync, queue: c.queue}
	c.keeper = c.local
	if cfg.NonSticky {
		k := &nonSticky{store: c.store, sync: cfg.SessionBackupSync, queue: c.queue, convoys: newConvoys()}
		if old != nil && c.isElsewhere(old) {
			k.until = time.Now().Add(moveTime)
		}
		c.keeper = k
		c.locks = newLocks(policy, c.store.keys, cfg.LockExpiration, cfg.OperationTimeout, c.stats)
	}
}

// install puts c in force.
func (m *Manager) install(c *core) {
	sweep := c.local.sweep
	if c.cfg.NonSticky {
		sweep = c.local.clear // what is left of sticky sessions
	}
	m.table.setSweep(func(e *entry) {
		if c.gate.enter() {
			defer c.leave()
			sweep(e)
		}
	})
	old := m.core.Swap(c)
	c.warn(old)
	if old != nil {
		close(old.replaced)
	}
}

// enter counts a request in, and returns the core that serves it; nil after
// Shutdown. It waits while Reconfigure has the nodes changed.
func (m *Manager) enter() *core {
	for {
		c := m.core.Load()
		if c == nil || c.gate.enter() {
			return c
		}
		<-c.replaced // soon: Reconfigure has its bounds
	}
}

func (c *core) leave() { c.gate.leave() }

// lost is told of what the background could not store. Of a session that has ended
// nothing is lost.
func (c *core) lost(err error) {
	if isClients(err) {
		return
	}
	c.stats.count(backupsLost)
	c.log.Error("msm: a session could not be stored in the background", "err", err)
}

// storeTimeout bounds the storing of one session, failed nodes and conflicts
// included.
func (c *core) storeTimeout() time.Duration { return 4 * c.cfg.OperationTimeout }

// storeContext is the context for storing what a request did: its client may
// have gone.
func (c *core) storeContext(request context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(request), c.storeTimeout())
}

// newHold returns a session that does not exist yet.
func (c *core) newHold() *hold {
	rec := &record{base: newBase(), created: time.Now(), maxInactive: c.cfg.MaxInactiveInterval, maxLife: c.cfg.MaxLifetime}
	h := &hold{rec: rec, accessed: rec.created, created: true, fresh: true}
	if c.store != nil {
		v := c.store.newVersion(rec.base)
		v.rec, v.fresh = rec, true
		v.home, _ = v.roles()
		h.version, h.node = v, v.node()
	}
	return h
}

// part is where a change to an attribute of the session belongs. The attribute moves
// there if it is in the other part, as it was put there under another filter.
func (c *core) part(b *batch, h *hold, name string) (part *changes, moves bool) {
	part, other, others := &b.stored, &b.local, h.local
	if c.filter != nil && !c.filter.matchName(name) {
		part, other, others = &b.local, &b.stored, h.rec.attrs
	}
	if _, moves = find(others, name); moves {
		other.remove(name)
	}
	return part, moves
}

// fades tells whether a cookie with a Max-Age is to be sent again: when a tenth
// of it has passed since the session was used last or before.
func (c *core) fades(h *hold) bool {
	step := c.cfg.Cookie.MaxAge / 10
	if step <= 0 {
		return false
	}
	return time.Since(h.rec.created)/step != h.accessed.Sub(h.rec.created)/step
}

// encode makes a value an attribute.
func (c *core) encode(name string, value any) (attr, error) {
	if err := checkAttrName(name); err != nil {
		return attr{}, err
	}
	defer c.stats.since(attributesSerialization, c.stats.begin())
	codec, data, err := c.codecs.encode(value)
	if err != nil {
		return attr{}, fmt.Errorf("msm: cannot encode attribute %q: %w", name, err)
	}
	return attr{name, codec, data}, nil
}

// decode reads an attribute's value.
func (c *core) decode(a attr, into any) error {
	if v := reflect.ValueOf(into); v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("msm: attribute %q: it cannot be decoded into %T: give a pointer that is not nil", a.name, into)
	}
	if err := c.codecs.decode(a.codec, a.data, into); err != nil {
		return fmt.Errorf("%w: attribute %q: %w", ErrDecode, a.name, err)
	}
	return nil
}
