package msm

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/seed99545744/msm/ring"
)

// warnings are what an operator should know of a Config that is in force, each
// with what to do.
func (c *core) warnings() []string {
	var all []string
	if !c.cfg.NonSticky && !isNoLock(c.cfg.LockingMode) {
		all = append(all, "msm: Config.LockingMode has no effect on sticky sessions: set NonSticky, or leave it empty")
	}
	if c.cfg.NonSticky && c.filter != nil {
		all = append(all, "msm: with Config.NonSticky, attributes that SessionAttributeFilter does not match are gone when their request ends: let it match what must stay")
	}
	if nodes := c.readable(); len(nodes) > 0 {
		all = append(all, "msm: sessions go over the network in the clear, to "+strings.Join(nodes, ", ")+
			": set Config.ValueKeys, or Config.Client with TLS")
	}
	return all
}

// readable returns the ids of nodes on other machines that get values as they
// are, over connections without TLS.
func (c *core) readable() []string {
	if c.store == nil || len(c.cfg.ValueKeys) > 0 || c.store.client.TLS() {
		return nil
	}
	var ids []string
	for _, n := range c.store.client.Ring().Nodes() {
		if !isLocal(n) {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// isLocal tells whether a node is reached without a network. A name other than
// localhost may mean any machine.
func isLocal(n ring.Node) bool {
	if strings.HasPrefix(n.Addr, "/") {
		return true // a UNIX socket
	}
	host, _, err := net.SplitHostPort(n.Addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// warn tells the logger what old did not tell.
func (c *core) warn(old *core) {
	var told []string
	if old != nil {
		told = old.warnings()
	}
	for _, w := range c.warnings() {
		if !slices.Contains(told, w) {
			c.log.Warn(w)
		}
	}
}
