package msm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Manager keeps the sessions of one application. Make it with New, wrap the
// application's handler in Handler, and call Shutdown when the server has shut
// down. It is safe for concurrent use.
type Manager struct {
	core  atomic.Pointer[core] // nil after Shutdown
	table *table               // of sticky sessions
	stats counters

	change sync.Mutex // held by Reconfigure and Shutdown from beginning to end
}

// core is what one Config has made: immutable, but for what keeps itself.
type core struct {
	cfg       Config // with its defaults
	store     *store // nil if sessions stay in this process
	owned     bool   // the store's client was made here
	author    author // of commits
	anonymous bool   // cookies name no node
	keeper    keeper
	locks     *locks // nil: no request has its session to itself
	queue     *queue
	cookie    *cookieWriter
	codecs    codecs
	ignore    *pattern // of requests
	filter    *pattern // of attribute names that are stored; nil: all
	buffers   *sync.Pool
	stats     *counters // nil: nothing is counted
	log       *slog.Logger
	gate      gate // of requests under way
}

// New makes a Manager. It does no I/O: nodes may be down. The error joins every
// problem of cfg, each with its field and what to do.
func New(cfg Config) (*Manager, error) {
	m := &Manager{table: newTable()}
	c, err := m.build(cfg)
	if err != nil {
		return nil, err
	}
	c.warnOfPlaintext()
	m.core.Store(c)
	return m, nil
}

// build makes the core of a Config.
func (m *Manager) build(cfg Config) (*core, error) {
	cfg, err := cfg.withDefaults()
	var p problems
	p.check(err)
	c := &core{cfg: cfg, author: newAuthor(), buffers: newBufferPool(), log: cfg.Logger, codecs: newCodecs(cfg.Transcoder)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if !cfg.DisableStatistics {
		c.stats = &m.stats
	}
	c.cookie, err = newCookieWriter(cfg.Cookie)
	p.check(err)
	c.ignore, err = compilePattern("RequestURIIgnorePattern", cfg.RequestURIIgnorePattern)
	p.check(err)
	c.filter, err = compilePattern("SessionAttributeFilter", cfg.SessionAttributeFilter)
	p.check(err)
	policy, err := parsePolicy(cfg.LockingMode)
	p.check(err)
	prefix, err := storagePrefix(cfg.StorageKeyPrefix, cfg.Host, cfg.Context, cfg.Version)
	p.check(err)
	seal, err := newSealer(cfg.ValueKeys)
	p.check(err)
	client, owned, err := cfg.connect()
	p.check(err)
	var failover map[string]bool
	if client != nil {
		nodes := client.Ring().Nodes()
		c.owned, c.anonymous = owned, isAnonymous(nodes)
		failover, err = cfg.parseFailover(nodes)
		p.check(err)
	}
	if err := errors.Join(p...); err != nil {
		if c.owned {
			client.Close()
		}
		return nil, err
	}
	if cfg.Disabled && c.owned { // its nodes were checked, and are not used
		client.Close()
		c.owned = false
	}
	c.queue = newQueue(cfg.BackupThreadCount, c.storeTimeout(), c.lost)
	if client != nil && !cfg.Disabled {
		c.store = &store{
			author: c.author,
			client: client, keys: keyspace{prefix}, seal: seal, failover: failover,
			maxInactive: cfg.MaxInactiveInterval, backupTimeout: cfg.SessionBackupTimeout, stats: c.stats,
		}
	}
	m.keep(c, policy)
	return c, nil
}

// keep gives c what keeps its sessions from one request to the next.
func (m *Manager) keep(c *core, policy policy) {
	cfg := &c.cfg
	if cfg.NonSticky {
		c.keeper = &nonSticky{store: c.store, sync: cfg.SessionBackupSync, queue: c.queue, convoys: newConvoys()}
		c.locks = newLocks(policy, c.store.keys, cfg.LockExpiration, cfg.OperationTimeout, c.stats)
		return
	}
	if !policy.isNone() {
		c.log.Warn("msm: Config.LockingMode has no effect on sticky sessions: set NonSticky, or leave it empty")
	}
	k := &sticky{author: c.author, table: m.table, store: c.store, route: cfg.Route, sync: cfg.SessionBackupSync, queue: c.queue}
	m.table.setSweep(k.sweep)
	c.keeper = k
}

// lost is told of what the background could not store.
func (c *core) lost(err error) {
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

// part is where a change to an attribute belongs.
func (c *core) part(b *batch, name string) *changes {
	if c.filter != nil && !c.filter.matchName(name) {
		return &b.local
	}
	return &b.stored
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
	if err := c.codecs.decode(a.codec, a.data, into); err != nil {
		return fmt.Errorf("%w: attribute %q: %w", ErrDecode, a.name, err)
	}
	return nil
}

// enter counts a request in, and returns the core that serves it; nil after
// Shutdown.
func (m *Manager) enter() *core {
	for {
		c := m.core.Load()
		if c == nil || c.gate.enter() {
			return c
		}
	}
}

func (c *core) leave() { c.gate.leave() }

// Shutdown lets no further request use sessions, waits for those under way, and
// stores what is not stored yet. When ctx ends first it returns its error, and
// what was not stored by then is lost, if no other copy has it. Shut the HTTP
// server down before.
func (m *Manager) Shutdown(ctx context.Context) error {
	m.change.Lock()
	defer m.change.Unlock()
	c := m.core.Swap(nil)
	if c == nil {
		return nil
	}
	err := c.retire(ctx)
	m.table.close()
	return err
}

// retire ends a core that serves no new requests.
func (c *core) retire(ctx context.Context) error {
	err := c.gate.shut(ctx)
	if k, ok := c.keeper.(*sticky); ok {
		k.drain()
	}
	err = errors.Join(err, c.queue.drain(ctx))
	if c.owned {
		err = errors.Join(err, c.store.client.Close())
	}
	return err
}
