package memcache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
	"github.com/seed99545744/msm/ring"
)

// Protocol is what is spoken to the servers.
type Protocol uint8

const (
	// Text is ASCII: meta commands on servers that have them as this client
	// needs them (from 1.6.18 on), classic ones elsewhere. Every new connection
	// asks its server for the version. A GetMulti of many keys is classic in any
	// case: servers answer it with less work.
	Text Protocol = iota

	// Classic is ASCII with classic commands only. It lacks DeleteCAS and
	// CompareAndDelete, IncrementOr takes several steps, and stores tell no CAS.
	// Servers before 1.5 lack GetAndTouch and HeadAndTouch.
	Classic

	// Meta is ASCII with meta commands only, for servers from 1.6.18 on. They alone
	// tell Item.Left, and an empty placeholder that another client wants to fill
	// ("mg" with N), which is a miss, from an empty value.
	Meta

	// Binary is the binary protocol. Servers discourage it since 1.6, and their
	// proxy lacks it.
	Binary
)

// Failover says what becomes of operations whose node is down.
type Failover uint8

const (
	// None lets them fail with ErrNodeDown.
	None Failover = iota

	// NextNode sends them to the next node in the order of ring.Ring.Walk that is
	// up. Items that were stored there stay there when the node comes back, and
	// may be found again, as old as they are then, when it goes down once more.
	NextNode
)

// Limits and defaults of Config.
const (
	// DefaultConns is the number of connections per node. Callers share the
	// first one, which is the fastest way, until it is crowded; values of 64 KiB
	// and more travel over the last one, lest small ones stand behind them.
	DefaultConns = 2

	// DefaultTimeout bounds one operation.
	DefaultTimeout = time.Second

	// DefaultDialTimeout bounds connecting, TLS and login together.
	DefaultDialTimeout = time.Second

	// DefaultMaxItemSize is what a server with its default -I takes: 1 MiB less
	// what it keeps beside an item.
	DefaultMaxItemSize = 1<<20 - 1<<10
)

// Limits of Config. No server can be told to take larger items (memcached -I
// 1024m); more connections than that are a slip.
const (
	maxItemSize = 1 << 30
	maxConns    = 1024
)

// minValueLimit is up to where values are read whatever MaxItemSize is: the
// servers' own default limit. Others may store more than this client does.
const minValueLimit = 1 << 20

// Config says where the servers are and how to talk to them. It needs Nodes or
// Ring; what the zero value of every other field means stands beside it.
type Config struct {
	// Nodes lists the servers in the grammar of ring.ParseNodes, as in
	// "n1:10.0.0.1:11211,n2:10.0.0.2:11211", for a ring.XXHash ring. It must be
	// empty if Ring is set.
	Nodes string

	// Ring is full control: weights and placement strategy.
	Ring *ring.Ring

	// Protocol is what is spoken to all servers.
	Protocol Protocol

	// Conns is the number of connections per node at most, each shared by all
	// callers and made when it is needed; up to 1,024. 0 means DefaultConns.
	Conns int

	// Timeout bounds one operation when its ctx ends no earlier, the wait for a
	// connection and a repetition included; of batches, each of the requests that
	// they are split into. A connection over which nothing comes for so long while
	// answers are due is closed, and one over which no answer comes whole in five
	// times as long. 0 means DefaultTimeout.
	Timeout time.Duration

	// DialTimeout bounds the making of a connection: name lookup, connecting, TLS
	// and login. 0 means DefaultDialTimeout.
	DialTimeout time.Duration

	// MaxItemSize bounds key and value together, in bytes, up to 1 GiB: larger
	// items are refused before a byte is sent. Set it to a little less than the -I
	// of the servers. A server that sends a value larger than this and than 1 MiB
	// violates the protocol. 0 means DefaultMaxItemSize.
	MaxItemSize int

	// Username and Password log in to servers that ask for it: memcached -Y, or
	// SASL PLAIN with Binary. Without TLS they can be read on the wire. "" means
	// no login.
	Username, Password string

	// TLS secures the connections. ServerName is filled in from the address if it
	// is empty; over a UNIX socket it must be set. A caller that gives up while its
	// request is stuck half-way ends the connection for all: TLS cannot leave a
	// record unfinished. nil means no TLS.
	TLS *tls.Config

	// DialContext connects: network is "tcp" or "unix", addr the node's. It must
	// heed its ctx, which ends with DialTimeout and with Close. Names are looked up
	// anew for every connection. nil means that of a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Failover says what becomes of operations whose node is down.
	Failover Failover

	// Logger is told when a node goes down and when it comes up, and nothing
	// else. nil is silent.
	Logger *slog.Logger

	// Observe is called when an operation is over, for metrics and traces. It
	// must return soon and may be called by many goroutines at once. nil costs
	// nothing.
	Observe func(ctx context.Context, op Operation)
}

// normalise checks cfg and fills in its defaults. It reports every problem.
func (cfg *Config) normalise() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf("memcache: "+format, args...)) }
	switch {
	case cfg.Ring != nil && cfg.Nodes != "":
		refuse("Config has Nodes and Ring; set one of them")
	case cfg.Ring == nil && cfg.Nodes == "":
		refuse(`Config has no nodes; set Nodes, as in "n1:localhost:11211", or Ring`)
	case cfg.Ring == nil:
		nodes, err := ring.ParseNodes(cfg.Nodes)
		if err == nil {
			cfg.Ring, err = ring.New(ring.XXHash, nodes...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("memcache: Config.Nodes: %w", err))
		}
	}
	if cfg.Protocol > Binary {
		refuse("Config.Protocol is %d; use Text, Classic, Meta or Binary", cfg.Protocol)
	}
	if cfg.Failover > NextNode {
		refuse("Config.Failover is %d; use None or NextNode", cfg.Failover)
	}
	if cfg.Conns < 0 || cfg.MaxItemSize < 0 || cfg.Timeout < 0 || cfg.DialTimeout < 0 {
		refuse("Config has a negative number; use 0 for the default of Conns, MaxItemSize, Timeout and DialTimeout")
	}
	if cfg.Conns > maxConns || cfg.MaxItemSize > maxItemSize {
		refuse("Config.Conns is %d and MaxItemSize is %d; use up to %d and %d", cfg.Conns, cfg.MaxItemSize, maxConns, maxItemSize)
	}
	if cfg.Username != "" || cfg.Password != "" {
		login := proto.Request{Op: proto.OpAuth, Key: cfg.Username, Value: []byte(cfg.Password)}
		if err := (proto.Classic{}).Check(&login); err != nil {
			errs = append(errs, fmt.Errorf("memcache: Config.Username and Password: %w", err))
		}
	}
	if cfg.Conns == 0 {
		cfg.Conns = DefaultConns
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = DefaultDialTimeout
	}
	if cfg.MaxItemSize == 0 {
		cfg.MaxItemSize = DefaultMaxItemSize
	}
	if cfg.DialContext == nil {
		cfg.DialContext = new(net.Dialer).DialContext
	}
	if cfg.TLS != nil {
		cfg.TLS = cfg.TLS.Clone()
	}
	return errors.Join(errs...)
}

// node is the part of cfg that one server needs.
func (cfg *Config) node(n ring.Node, number uint32) node.Config {
	protocols := [...]node.Protocol{Text: node.Text, Classic: node.Classic, Meta: node.Meta, Binary: node.Binary}
	return node.Config{
		ID:          n.ID,
		Addr:        n.Addr,
		Number:      number,
		Protocol:    protocols[cfg.Protocol],
		Conns:       cfg.Conns,
		Timeout:     cfg.Timeout,
		DialTimeout: cfg.DialTimeout,
		MaxValue:    max(cfg.MaxItemSize, minValueLimit),
		Username:    cfg.Username,
		Password:    cfg.Password,
		TLS:         cfg.TLS,
		DialContext: cfg.DialContext,
		Logger:      cfg.Logger,
	}
}
