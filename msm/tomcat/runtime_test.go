package tomcat_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/msm"
)

// atRunTime is what changes when an attribute changes while requests run: what
// is seen before, and after.
var atRunTime = []struct {
	name          string
	begin         func(*msm.Config, *site)
	change        func(*msm.Config, *site)
	see           func(*site) string
	before, after string
}{
	{"memcachedNodes", inStep, func(c *msm.Config, s *site) { c.MemcachedNodes = s.list("n2", "n3") },
		func(s *site) string {
			s.began()
			return fmt.Sprint(s.manager.Stats().Nodes[0].ID, " ", slices.Contains(s.holders("ann"), "n3"))
		}, "n1 false", "n2 true"},
	{"failoverNodes", func(c *msm.Config, s *site) { c.MemcachedNodes, c.FailoverNodes = s.list("n1", "n2", "n3"), "n2 n3" },
		func(c *msm.Config, s *site) { c.FailoverNodes = "n1 n2" },
		func(s *site) string { s.began(); return s.info().Node }, "n1", "n3"},
	{"memcachedProtocol", inStep, func(c *msm.Config, _ *site) { c.MemcachedProtocol = "binary" },
		func(s *site) string {
			meta := func() int { return s.nodes["n1"].Traffic().Commands["ms"] + s.nodes["n2"].Traffic().Commands["ms"] }
			was := meta()
			s.began()
			return fmt.Sprint(meta() > was)
		}, "true", "false"},
	{"username", func(c *msm.Config, s *site) {
		c.MemcachedNodes, c.NonSticky, c.Username, c.Password = s.list("in"), true, "bob", "secret"
	},
		func(c *msm.Config, _ *site) { c.Username = "ann" },
		func(s *site) string { return s.set("user", "ann") }, "status 503", "stored"},
	{"password", func(c *msm.Config, s *site) {
		c.MemcachedNodes, c.NonSticky, c.Username, c.Password = s.list("in"), true, "ann", "guess"
	},
		func(c *msm.Config, _ *site) { c.Password = "secret" },
		func(s *site) string { return s.set("user", "ann") }, "status 503", "stored"},
	{"sticky", inStep, func(c *msm.Config, _ *site) { c.NonSticky = true },
		func(s *site) string {
			s.began()
			was := s.traffic()
			s.get("user")
			return fmt.Sprint(s.traffic() > was)
		}, "false", "true"},
	{"lockingMode", func(c *msm.Config, _ *site) { c.NonSticky = true }, func(c *msm.Config, _ *site) { c.LockingMode = "all" },
		func(s *site) string {
			s.began()
			s.get("user")
			return fmt.Sprint(s.manager.Stats().AcquireLockMillis.Count)
		}, "0", "1"},
	{"lockExpiration", func(c *msm.Config, _ *site) { c.NonSticky, c.LockingMode = true, "all" },
		func(c *msm.Config, _ *site) { c.LockExpiration = time.Minute },
		func(s *site) string {
			s.began()
			return s.visit("/", func(session *msm.Session) (string, error) {
				_, err := session.Names() // takes the lock
				for _, item := range s.items() {
					if strings.Contains(item.Key, "lock") {
						return fmt.Sprint(time.Until(item.Expires) > 10*time.Second), err
					}
				}
				return "no lock", err
			})
		}, "false", "true"},
	{"operationTimeout", func(c *msm.Config, _ *site) { c.NonSticky, c.OperationTimeout = true, time.Hour },
		func(c *msm.Config, _ *site) { c.OperationTimeout = 30 * time.Millisecond },
		func(s *site) string {
			if s.inForce("OperationTimeout") == "1h0m0s" {
				return "nobody waits for that"
			}
			s.nodes["n1"].SetFault(memcachetest.Fault{Hang: true})
			s.nodes["n2"].SetFault(memcachetest.Fault{Hang: true})
			return s.set("user", "ann")
		}, "nobody waits for that", "status 503"},
	{"requestUriIgnorePattern", nil, func(c *msm.Config, _ *site) { c.RequestURIIgnorePattern = `.*\.png` },
		func(s *site) string {
			said := s.visit("/a.png", func(session *msm.Session) (string, error) { return "a session", session.Set("user", "ann") })
			return fmt.Sprint(strings.Contains(said, "RequestURIIgnorePattern"))
		}, "false", "true"},
	{"sessionBackupAsync", slowNodes, func(c *msm.Config, _ *site) { c.SessionBackupSync = true },
		func(s *site) string {
			s.began()
			s.delay(100 * time.Millisecond)
			defer s.delay(0)
			start := time.Now()
			s.set("user", "bob")
			return fmt.Sprint(time.Since(start) >= 200*time.Millisecond) // both copies, one after the other
		}, "false", "true"},
	{"sessionBackupTimeout", func(c *msm.Config, s *site) {
		slowNodes(c, s)
		c.MemcachedNodes, c.NonSticky, c.SessionBackupSync, c.SessionBackupTimeout = s.list("n1", "n2", "n3"), true, true, 10*time.Second
	}, func(c *msm.Config, _ *site) { c.SessionBackupTimeout = 20 * time.Millisecond },
		func(s *site) string {
			s.began()
			s.delay(100*time.Millisecond, s.second())
			defer s.delay(0)
			s.set("user", "bob")
			return fmt.Sprint(len(s.holders("bob")))
		}, "2", "3"},
	{"backupThreadCount", func(c *msm.Config, s *site) {
		slowNodes(c, s)
		c.MemcachedNodes, c.BackupThreadCount = s.list("n1"), 1
	}, func(c *msm.Config, _ *site) { c.BackupThreadCount = 3 }, (*site).atOnce, "1", "3"},
	{"sessionAttributeFilter", func(c *msm.Config, _ *site) { c.NonSticky = true }, func(c *msm.Config, _ *site) { c.SessionAttributeFilter = "cart" },
		func(s *site) string { s.began(); return s.get("user") }, "ann", ""},
	{"transcoderFactoryClass", nil, func(c *msm.Config, _ *site) { c.Transcoder = msm.Gob },
		func(s *site) string {
			s.cookie = ""
			s.set("user", "J"+s.inForce("Transcoder"))
			return fmt.Sprint(s.stored(`"JJSON"`), s.stored(`"JGob"`), s.stored("JGob"))
		}, "true false false", "true false true"},
	{"copyCollectionsForSerialization", nil, func(c *msm.Config, _ *site) { c.OperationTimeout *= 2 },
		func(s *site) string {
			s.cookie = ""
			cart := map[string]string{"apples": "two"}
			s.visit("/", func(session *msm.Session) (string, error) {
				err := session.Set("cart", cart)
				cart["apples"] = "three"
				return "", err
			})
			return fmt.Sprint(s.stored("two"), s.stored("three"))
		}, "true false", "true false"},
	{"customConverter", nil, func(c *msm.Config, _ *site) { c.Transcoder = msm.Converting(msm.JSON, shouting) },
		func(s *site) string { s.began(); return fmt.Sprint(s.stored("ANN")) + s.get("user") }, "falseann", "trueann"},
	{"enableStatistics", nil, func(c *msm.Config, _ *site) { c.DisableStatistics = true },
		func(s *site) string { s.began(); return fmt.Sprint(s.manager.Stats().RequestsWithSession) }, "1", "1"},
	{"enabled", nil, func(c *msm.Config, _ *site) { c.Disabled = true },
		func(s *site) string {
			was := s.traffic()
			s.began()
			return fmt.Sprint(s.traffic() > was)
		}, "true", "false"},
	{"storageKeyPrefix", nil, func(c *msm.Config, _ *site) { c.StorageKeyPrefix = "static:other" },
		func(s *site) string {
			s.began()
			return fmt.Sprint(slices.ContainsFunc(s.items(), func(i memcachetest.Item) bool { return strings.HasPrefix(i.Key, "other") }))
		}, "false", "true"},
	{"maxInactiveInterval", nil, func(c *msm.Config, _ *site) { c.MaxInactiveInterval = time.Minute },
		func(s *site) string { s.began(); return s.info().MaxInactive.String() }, "30m0s", "1m0s"},
	{"jvmRoute", nil, func(c *msm.Config, _ *site) { c.Route = "tc2.example.com" },
		func(s *site) string { s.began(); _, route, _ := strings.Cut(s.cookie, "."); return route }, "", "tc2.example.com"},
	{"path", func(c *msm.Config, _ *site) { c.StorageKeyPrefix, c.Context = "context", "/shop" }, func(c *msm.Config, _ *site) { c.Context = "/till" },
		(*site).prefixes, "/shop", "/shop /till"},
	{"webappVersion", func(c *msm.Config, _ *site) { c.Version = "001" }, func(c *msm.Config, _ *site) { c.Version = "002" },
		(*site).prefixes, "001", "001 002"},
	{"name", func(c *msm.Config, _ *site) { c.StorageKeyPrefix, c.Host = "host", "a.org" }, func(c *msm.Config, _ *site) { c.Host = "b.org" },
		(*site).prefixes, "a.org", "a.org b.org"},
	{"sessionCookieName", nil, func(c *msm.Config, _ *site) { c.Cookie.Name = "__Host-shop" },
		func(s *site) string { s.began(); name, _, _ := strings.Cut(s.cookie, "="); return name }, "__Host-sid", "__Host-shop"},
}

// inStep leaves nothing to the background.
func inStep(c *msm.Config, _ *site) { c.SessionBackupSync = true }

// slowNodes is for nodes that take their time.
func slowNodes(c *msm.Config, _ *site) {
	c.OperationTimeout, c.SessionBackupTimeout = 10*time.Second, 10*time.Second
}

// delay makes nodes slow, all of n1 to n3 if none is named.
func (s *site) delay(d time.Duration, ids ...string) {
	if len(ids) == 0 {
		ids = []string{"n1", "n2", "n3"}
	}
	for _, id := range ids {
		s.nodes[id].SetFault(memcachetest.Fault{Delay: d})
	}
}

// second is the node of the session's second copy.
func (s *site) second() (id string) {
	s.t.Helper()
	s.visit("/", func(session *msm.Session) (string, error) {
		ids, err := session.Copies()
		if err == nil && len(ids) != 2 {
			err = errors.New("no second copy")
		}
		if err != nil {
			s.t.Fatal(err)
		}
		id = ids[1]
		return "", nil
	})
	return id
}

// atOnce is how many sessions are stored in the background at the same time.
func (s *site) atOnce() string {
	s.t.Helper()
	var visitors []site
	for range 6 {
		s.began()
		visitors = append(visitors, *s)
	}
	s.delay(20 * time.Millisecond)
	defer s.delay(0)
	for i := range visitors {
		visitors[i].set("user", "bob")
	}
	most := 0
	s.poll("all is stored", func() bool {
		node := s.manager.Stats().Nodes[0]
		most = max(most, node.InFlight)
		return node.InFlight == 0 && most > 0 && len(s.nodes["n1"].Items()) >= 6 && !s.stored("ann")
	})
	return fmt.Sprint(most)
}

// prefixes are those of all keys.
func (s *site) prefixes() string {
	s.t.Helper()
	s.began()
	var all []string
	for _, item := range s.items() {
		prefix, _, _ := strings.Cut(item.Key, "_")
		all = append(all, prefix)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// shouting is a converter of an application's own.
var shouting = msm.NewConverter(
	func(text string) ([]byte, error) { return []byte(strings.ToUpper(text)), nil },
	func(data []byte) (string, error) { return strings.ToLower(string(data)), nil },
)

// Every attribute changes at run time, and that is seen, beside a visitor whose
// requests go on all the while.
func TestAttributesAtRunTime(t *testing.T) {
	for _, tt := range atRunTime {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.begin)
			if got := tt.see(s); got != tt.before {
				t.Errorf("before: %q, want %q", got, tt.before)
			}
			stop := make(chan struct{})
			var other sync.WaitGroup
			visitor := *s
			visitor.cookie = ""
			other.Go(func() {
				for ; ; visitor.get("user") {
					select {
					case <-stop:
						return
					default:
					}
				}
			})
			tt.change(&s.cfg, s)
			err := s.manager.Reconfigure(s.cfg)
			close(stop)
			other.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.see(s); got != tt.after {
				t.Errorf("after: %q, want %q", got, tt.after)
			}
		})
	}
}
