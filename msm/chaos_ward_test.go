package msm

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// wardSize is the number of nodes of a chaos run.
const wardSize = 3

// ailment is what is wrong with a node.
type ailment uint8

const (
	healthy ailment = iota
	dead            // killed; it comes back empty
	hung            // frozen; what came meanwhile is executed when it thaws
	slow            // takes ten times as long
	swamped         // answers later than a second copy may take, or than anybody waits: what is sent is executed
	broken          // resets its connections
	cut             // cannot be reached, and keeps what it has
)

func (a ailment) String() string {
	return [...]string{"healthy", "dead", "hung", "slow", "swamped", "broken", "cut off"}[a]
}

// ward is nodes that can be made ill: nodes 0 to wardSize-1.
type ward interface {
	addr(i int) string
	dial(ctx context.Context, network, addr string) (net.Conn, error)
	ailments() []ailment // that it knows
	afflict(i int, a ailment)
	heal(i int, from ailment)
	look(i int, key string) []byte // what the node has, as far as it can be asked; nil: nothing
}

// nodeList is the nodes of a ward in the grammar of ring.ParseNodes.
func nodeList(w ward) string {
	var list []string
	for i := range wardSize {
		list = append(list, fmt.Sprintf("n%d:%s", i+1, w.addr(i)))
	}
	return strings.Join(list, ",")
}

// memoryWard is servers in this process, without sockets: a synctest bubble
// sees through them.
type memoryWard struct {
	t       *testing.T
	network memcachetest.Network
	servers [wardSize]atomic.Pointer[memcachetest.Server]
}

func newMemoryWard(t *testing.T) *memoryWard {
	w := &memoryWard{t: t}
	for i := range wardSize {
		w.start(i)
	}
	t.Cleanup(func() {
		for i := range wardSize {
			w.servers[i].Load().Close()
		}
	})
	return w
}

func (w *memoryWard) start(i int) {
	s, err := memcachetest.New(memcachetest.Config{Addr: w.addr(i), Network: &w.network})
	if err != nil {
		w.t.Error(err)
		return
	}
	s.SetFault(memcachetest.Fault{Delay: w.delay(i)})
	w.servers[i].Store(s)
}

func (w *memoryWard) addr(i int) string { return fmt.Sprintf("node%d:11211", i+1) }

func (w *memoryWard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return w.network.DialContext(ctx, network, addr)
}

func (w *memoryWard) ailments() []ailment { return []ailment{dead, hung, slow, broken, cut, swamped} }

// delay is what a healthy node takes to answer: time passes between the steps of
// a request, each node's its own, so that requests overlap in a bubble too.
func (w *memoryWard) delay(i int) time.Duration { return time.Duration(300+170*i) * time.Microsecond }

func (w *memoryWard) afflict(i int, a ailment) {
	s := w.servers[i].Load()
	switch a {
	case dead:
		s.Close()
	case hung:
		s.SetFault(memcachetest.Fault{Hang: true})
	case slow:
		s.SetFault(memcachetest.Fault{Delay: 10 * w.delay(i)})
	case swamped:
		s.SetFault(memcachetest.Fault{Delay: chaosBackupTimeout * time.Duration(8+i) / 10})
	case broken:
		s.SetFault(memcachetest.Fault{Reset: true})
	case cut:
		s.SetFault(memcachetest.Fault{Refuse: true})
	}
}

// delays makes all nodes answer that late.
func (w *memoryWard) delays(d time.Duration) {
	for i := range wardSize {
		w.servers[i].Load().SetFault(memcachetest.Fault{Delay: d})
	}
}

func (w *memoryWard) heal(i int, from ailment) {
	if from == dead {
		w.start(i)
		return
	}
	w.servers[i].Load().SetFault(memcachetest.Fault{Delay: w.delay(i)})
}

func (w *memoryWard) look(i int, key string) []byte {
	item, _ := w.servers[i].Load().Get(key)
	return item.Value
}

// processWard is memcached child processes.
type processWard struct {
	t       *testing.T
	servers [wardSize]*memcached.Server
	client  *memcache.Client // of the checker alone
	frozen  [wardSize]atomic.Bool
}

func newProcessWard(t *testing.T) *processWard {
	w := &processWard{t: t}
	for i := range wardSize {
		w.servers[i] = memcached.Start(t)
	}
	var err error
	w.client, err = memcache.New(memcache.Config{Nodes: nodeList(w)})
	must(t, err)
	t.Cleanup(func() { w.client.Close() })
	return w
}

func (w *processWard) addr(i int) string { return w.servers[i].Addr() }

func (w *processWard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (w *processWard) ailments() []ailment { return []ailment{dead, hung} }

func (w *processWard) afflict(i int, a ailment) {
	if a == dead {
		w.servers[i].Kill()
		return
	}
	w.frozen[i].Store(true)
	w.servers[i].Stop()
}

func (w *processWard) heal(i int, from ailment) {
	if from == dead {
		if err := w.servers[i].Restart(); err != nil {
			w.t.Error(err)
		}
	} else {
		w.servers[i].Continue()
	}
	w.frozen[i].Store(false)
	w.client.On(fmt.Sprint("n", i+1)).Reach(context.Background())
}

func (w *processWard) look(i int, key string) []byte {
	if w.frozen[i].Load() {
		return nil
	}
	item, _ := w.client.On(fmt.Sprint("n", i+1)).Get(context.Background(), key)
	return item.Value
}
