package msm

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/ring"
)

// Defaults of Config.
const (
	DefaultMaxInactiveInterval  = 30 * time.Minute
	DefaultOperationTimeout     = time.Second
	DefaultSessionBackupTimeout = 100 * time.Millisecond
	DefaultLockExpiration       = 5 * time.Second
)

// Limits of Config: longer times are mistakes, or mean for ever, and would not fit
// where a multiple of them is needed.
const (
	maxOperationTime = 24 * time.Hour
	maxIdle          = 100 * 365 * 24 * time.Hour
)

// maxFailoverNodes leaves at least one place of every session to a node that
// is not for failover.
const maxFailoverNodes = maxPlaces - 1

// Config says where sessions are kept and how. It needs MemcachedNodes, Client
// or Disabled; what the zero value of every other field means stands beside it.
// The names are those of memcached-session-manager for Tomcat. New and
// Reconfigure copy it.
type Config struct {
	// MemcachedNodes lists the nodes in the grammar of ring.ParseNodes, as in
	// "n1:10.0.0.1:11211,n2:10.0.0.2:11211", the same in every instance. One
	// node alone may go without an id. Every session lives on two of them.
	MemcachedNodes string

	// FailoverNodes are ids of nodes, separated by commas or blanks, that take
	// sessions only while no other node is up: the memcached that runs beside
	// this instance, say, so that both do not die together. Three at most. They
	// hold second copies like the others.
	FailoverNodes string

	// MemcachedProtocol is "text" or "binary"; "" means text.
	MemcachedProtocol string

	// Username and Password log in to the nodes: memcached -Y with text, SASL
	// PLAIN with binary. "" means no login.
	Username, Password string

	// NonSticky is for load balancers that send a browser's requests to any
	// instance: every request that uses its session loads it. False means that
	// instances serve sessions from their own memory, and that memcached is read
	// when another instance served the session last.
	NonSticky bool

	// LockingMode says which requests have a session of NonSticky to themselves:
	// "none"; "all"; "auto", all but those whose like (the same method, path and,
	// but for POST, query) have never changed a session; or "uriPattern:" and a
	// regular expression as for RequestURIIgnorePattern. "" means none: what
	// parallel requests change is merged, attribute by attribute, and nothing is
	// lost. Sticky sessions are merged always.
	//
	// A request gets the lock when it first uses its session, and gives it back
	// when that is stored, before its response leaves. It waits for
	// OperationTimeout at most, and then goes on without: its changes are merged.
	// Of one session 16 requests may wait in an instance; more get ErrBusy.
	LockingMode string

	// LockExpiration is how long the lock of an instance that died keeps others
	// waiting; up to 2 s longer, since servers count whole seconds. A handler that
	// takes longer keeps its lock, up to ten times as long. 0 means 5 s; 24 h at
	// most.
	LockExpiration time.Duration

	// RequestURIIgnorePattern is a regular expression that matches in full the
	// path, "path?query" or "METHOD path?query" of requests that pass by: their
	// sessions are neither loaded nor stored, and every method of theirs returns
	// an error. "" means none.
	RequestURIIgnorePattern string

	// SessionBackupSync makes responses wait until both copies are stored. False
	// means that they do not wait for the second copy, and with sticky sessions
	// not for the first one either, unless the session is new here.
	SessionBackupSync bool

	// SessionBackupTimeout is how long the second copy may take; another node
	// gets it then. 0 means 100 ms. More than OperationTimeout means that.
	SessionBackupTimeout time.Duration

	// BackupThreadCount is how many sessions are stored in the background at the
	// same time. 0 means GOMAXPROCS.
	BackupThreadCount int

	// SessionAttributeFilter is a regular expression that matches in full the
	// names of attributes that are stored. Others live as long as the request,
	// or in sticky sessions as long as the instance has the session. "" means
	// that all are stored. What was set under another filter moves when it is
	// changed.
	SessionAttributeFilter string

	// Transcoder encodes attributes. nil means JSON.
	Transcoder Transcoder

	// StorageKeyPrefix keeps applications apart that share nodes: any of
	// "static:x", "host", "host.hash", "context", "context.hash" and
	// "webappVersion", joined by commas. "" means "context,webappVersion".
	StorageKeyPrefix string

	// OperationTimeout bounds one operation of one node. 0 means 1 s; 24 h at most.
	// With Client, it should be that of the client.
	OperationTimeout time.Duration

	// MaxInactiveInterval is how long a session lives without being used. 0
	// means 30 min; negative: until MaxLifetime is over, or for ever, which sticky
	// sessions spend in memory. Session.SetMaxInactive overrides it.
	MaxInactiveInterval time.Duration

	// MaxLifetime is how long a session lives at most, however much it is used;
	// Renew does not prolong it. 0 means without bound.
	MaxLifetime time.Duration

	// Route names this instance: letters, digits and _ . -, 64 at most. Load
	// balancers find it at the end of the cookie, after a dot. It should be set
	// with sticky sessions: without, every change of instance costs a store. ""
	// means none.
	Route string

	// Context, Host and Version are what StorageKeyPrefix may name.
	Context, Host, Version string

	// Cookie says how the cookie is named and sent.
	Cookie Cookie

	// ValueKeys encrypt and authenticate what is stored: AES-256 keys of 32
	// bytes, of which the first encrypts and all decrypt. Empty means that values
	// are stored as they are. Where several instances run, a new key goes to the
	// end of the list in all of them before it goes to the front in any: what an
	// instance has no key for it takes for damaged, and the session for lost.
	ValueKeys [][]byte

	// DisableStatistics ends all counting and measuring, which costs nothing
	// then. Stats tells what was counted before.
	DisableStatistics bool

	// Disabled keeps sessions in this process only. It excludes NonSticky and
	// needs no nodes.
	Disabled bool

	// Client is used instead of a client made from MemcachedNodes,
	// MemcachedProtocol, Username and Password, which must be empty then. Its
	// Ring places the sessions. Shutdown leaves it open.
	Client *memcache.Client

	// Logger is told of nodes that go down and come up, and of what an operator
	// should look at; never of ids or values. nil is silent.
	Logger *slog.Logger
}

// redacted is cfg as it may be shown. The type has no methods.
func (cfg Config) redacted() (shown plainConfig) {
	shown = plainConfig(cfg)
	if cfg.Password != "" {
		shown.Password = "***"
	}
	shown.ValueKeys = make([][]byte, len(cfg.ValueKeys)) // how many there are is no secret
	shown.Client, shown.Logger, shown.Transcoder = nil, nil, nil
	return shown
}

type plainConfig Config

// Format implements fmt.Formatter: no verb shows the password or a key.
func (cfg Config) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), cfg.redacted())
}

// LogValue implements slog.LogValuer, without the password and the keys.
func (cfg Config) LogValue() slog.Value { return slog.AnyValue(cfg.redacted()) }

// MarshalJSON implements json.Marshaler, without the password and the keys.
func (cfg Config) MarshalJSON() ([]byte, error) { return json.Marshal(cfg.redacted()) }

// problems collects what is wrong with a Config.
type problems []error

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, fmt.Errorf("msm: Config.%s: %s", field, fmt.Sprintf(format, args...)))
}

// check adds an error that says itself what it is about.
func (p *problems) check(err error) {
	if err != nil {
		*p = append(*p, err)
	}
}

// withDefaults returns cfg as it is in force, and every problem it has.
func (cfg Config) withDefaults() (Config, error) {
	var p problems
	for _, d := range []struct {
		field    string
		value    *time.Duration
		fallback time.Duration
	}{
		{"LockExpiration", &cfg.LockExpiration, DefaultLockExpiration},
		{"OperationTimeout", &cfg.OperationTimeout, DefaultOperationTimeout},
		{"SessionBackupTimeout", &cfg.SessionBackupTimeout, DefaultSessionBackupTimeout},
		{"MaxLifetime", &cfg.MaxLifetime, 0},
	} {
		if *d.value < 0 {
			p.add(d.field, "is %v: use a positive duration, or 0 for the default", *d.value)
		}
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if cfg.OperationTimeout > maxOperationTime {
		p.add("OperationTimeout", "is %v: use %v at most", cfg.OperationTimeout, maxOperationTime)
	}
	if cfg.LockExpiration > maxOperationTime {
		p.add("LockExpiration", "is %v: use %v at most", cfg.LockExpiration, maxOperationTime)
	}
	if cfg.MaxInactiveInterval == 0 {
		cfg.MaxInactiveInterval = DefaultMaxInactiveInterval
	}
	cfg.MaxInactiveInterval = storable(cfg.MaxInactiveInterval)
	if cfg.BackupThreadCount < 0 {
		p.add("BackupThreadCount", "is %d: use 1 or more, or 0 for GOMAXPROCS", cfg.BackupThreadCount)
	} else if cfg.BackupThreadCount == 0 {
		cfg.BackupThreadCount = runtime.GOMAXPROCS(0)
	}
	if cfg.Route != "" && !validRoute(cfg.Route) {
		p.add("Route", "%q has other characters than letters, digits and _ . -, or more than %d: shorten or rename it", cfg.Route, maxRouteLen)
	}
	if cfg.Disabled && cfg.NonSticky {
		p.add("Disabled", "excludes NonSticky, which has no sessions without memcached: unset one of them")
	}
	return cfg, errors.Join(p...)
}

// connect returns the client that cfg describes. own is the same one if it was
// made here, or by the old core, whose Config describes just the same; nil if it
// is the caller's.
func (cfg *Config) connect(old *core) (client *memcache.Client, own *ownClient, err error) {
	var p problems
	switch {
	case cfg.Client != nil:
		if cfg.MemcachedNodes != "" || cfg.MemcachedProtocol != "" || cfg.Username != "" || cfg.Password != "" {
			p.add("Client", "is set, and so is one of MemcachedNodes, MemcachedProtocol, Username and Password: leave those to the client")
		}
		client = cfg.Client
	case cfg.Disabled && cfg.MemcachedNodes == "":
		return nil, nil, nil
	case strings.TrimSpace(cfg.MemcachedNodes) == "":
		p.add("MemcachedNodes", `is required: write "n1:host:port,n2:host:port", or set Client`)
		return nil, nil, errors.Join(p...)
	case old != nil && old.own != nil && cfg.connectsLike(&old.cfg):
		own = old.own.share()
		client = own.Client
	default:
		if client = cfg.dial(&p); client != nil {
			own = newOwnClient(client)
		}
	}
	if client != nil {
		p.check(checkNodes(client.Ring().Nodes()))
	}
	return client, own, errors.Join(p...)
}

// connectsLike tells whether two Configs make the same client.
func (cfg *Config) connectsLike(other *Config) bool {
	return cfg.MemcachedNodes == other.MemcachedNodes && cfg.MemcachedProtocol == other.MemcachedProtocol &&
		cfg.Username == other.Username && cfg.Password == other.Password &&
		cfg.OperationTimeout == other.OperationTimeout && cfg.Logger == other.Logger
}

// dial makes a client. It does no I/O.
func (cfg *Config) dial(p *problems) *memcache.Client {
	nodes, err := ring.ParseNodes(cfg.MemcachedNodes)
	var r *ring.Ring
	if err == nil {
		r, err = ring.New(ring.XXHash, nodes...)
	}
	if err != nil {
		p.add("MemcachedNodes", "%v", err)
	}
	protocol, ok := map[string]memcache.Protocol{"": memcache.Text, "text": memcache.Text, "binary": memcache.Binary}[cfg.MemcachedProtocol]
	if !ok {
		p.add("MemcachedProtocol", "%q is unknown: use text or binary", cfg.MemcachedProtocol)
	}
	if cfg.Password != "" && cfg.Username == "" {
		p.add("Username", "is empty, but there is a Password: set both or none")
	}
	if len(*p) > 0 {
		return nil
	}
	client, err := memcache.New(memcache.Config{
		Ring: r, Protocol: protocol, Username: cfg.Username, Password: cfg.Password,
		Timeout: cfg.OperationTimeout, DialTimeout: cfg.OperationTimeout, Logger: cfg.Logger,
	})
	p.check(err)
	return client
}

// checkNodes refuses ids that cannot stand in a cookie, and two nodes of which
// one has no id: where a session is could not be told.
func checkNodes(nodes []ring.Node) error {
	if isAnonymous(nodes) {
		return nil
	}
	var p problems
	for _, n := range nodes {
		if n.ID == n.Addr {
			p.add("MemcachedNodes", "node %q has no id, and there are %d nodes: write id:%s", n.Addr, len(nodes), n.Addr)
		} else if !validNodeID(n.ID) {
			p.add("MemcachedNodes", "id %q has other characters than letters, digits and _, or more than %d: rename the node", n.ID, maxNodeLen)
		}
	}
	return errors.Join(p...)
}

// isAnonymous tells whether there is one node, without an id.
func isAnonymous(nodes []ring.Node) bool { return len(nodes) == 1 && nodes[0].ID == nodes[0].Addr }

// parseFailover reads FailoverNodes.
func (cfg *Config) parseFailover(nodes []ring.Node) (map[string]bool, error) {
	ids := strings.FieldsFunc(cfg.FailoverNodes, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
	failover := make(map[string]bool, len(ids))
	known := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		known[n.ID] = true
	}
	var p problems
	for _, id := range ids {
		if !known[id] {
			p.add("FailoverNodes", "%q is the id of no node: use ids of MemcachedNodes", id)
		}
		failover[id] = true
	}
	switch {
	case len(ids) > 0 && len(nodes) == 1:
		p.add("FailoverNodes", "there is one node only, which cannot be for failover: leave it empty, or add a node")
	case len(ids) > 0 && len(failover) >= len(nodes):
		p.add("FailoverNodes", "all nodes are for failover: leave out at least one")
	case len(failover) > maxFailoverNodes:
		p.add("FailoverNodes", "has %d nodes: %d are the most, since a session is searched on %d", len(failover), maxFailoverNodes, maxPlaces)
	}
	return failover, errors.Join(p...)
}

// storable is an idle time-out as records keep it, in whole milliseconds, so that
// neither "never", of whatever size, nor a short one becomes 0, and the longest ends
// at a date that can be told to a node.
func storable(idle time.Duration) time.Duration {
	if idle < 0 {
		return -time.Millisecond
	}
	return min(max(idle.Truncate(time.Millisecond), time.Millisecond), maxIdle)
}
