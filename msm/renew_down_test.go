package msm

import (
	"fmt"
	"testing"
)

// STK-27, SR-23: a session whose node is down can be renewed, on two nodes and
// on three, and the old id is no session afterwards.
func TestRenewWithoutTheSessionsNode(t *testing.T) {
	for _, nodes := range []int{2, 3} {
		for _, nonSticky := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d nodes/%s", nodes, modeName(nonSticky)), func(t *testing.T) {
				ns := startNodes(t, nodes)
				cfg := ns.config()
				cfg.NonSticky, cfg.SessionBackupSync = nonSticky, true
				m := instance(t, cfg)
				b := new(browser)
				b.visit(m, func(s *Session) { s.Set("user", "ann") })
				old := b.clone()
				ns.kill(b.id(t).node)

				var err error
				b.visit(m, func(s *Session) { err = s.Renew() })
				if err != nil {
					t.Fatalf("Renew: %v", err)
				}
				if b.id(t).base == old.id(t).base {
					t.Error("the id is the old one")
				}
				for name, visitor := range map[string]*browser{"ann": b, "": old} {
					var got string
					visitor.visit(m, func(s *Session) { _, err = s.Get("user", &got) })
					if got != name || err != nil {
						t.Errorf("got %q, %v, want %q", got, err, name)
					}
				}
			})
		}
	}
}
