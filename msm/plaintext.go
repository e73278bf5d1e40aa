package msm

import (
	"net"
	"net/netip"

	"github.com/seed99545744/msm/ring"
)

// warnOfPlaintext says so once if whoever can listen on the network, or reach a
// node, can read sessions, and change them.
func (c *core) warnOfPlaintext() {
	if !c.owned || c.cfg.Username != "" || len(c.cfg.ValueKeys) > 0 {
		return // a client of the application's own may use TLS
	}
	for _, n := range c.store.client.Ring().Nodes() {
		if !staysHere(n) {
			c.log.Warn("msm: sessions go over the network in the clear, to nodes that ask for no password: set Config.ValueKeys, or Config.Client with TLS", "node", n.ID)
			return
		}
	}
}

// staysHere tells whether what is sent to a node stays on this machine, as far
// as its address tells.
func staysHere(n ring.Node) bool {
	host, _, err := net.SplitHostPort(n.Addr)
	if err != nil {
		return true // a UNIX socket
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
