package msm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// SR-35: an older value of the same session, put back by somebody who can write
// to memcached, is refused by an instance that knows a newer one, and by a cookie
// of a later epoch. What remains is written in SECURITY.md.
func TestSR35_Replay(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode string
		move bool // a new epoch
	}{{"a sticky instance knows better", "sticky", false}, {"the cookie knows better", "non-sticky", true}, {"both do", "sticky", true}} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, ns *nodes, cfg Config) {
				cfg = both(cfg)[tt.mode]
				cfg.ValueKeys = [][]byte{randomKey()}
				m := instance(t, cfg)
				b := new(browser)
				b.set(t, m, "who", "old")
				recorded := ns.copies(b.id(t).base)
				if tt.move {
					home := b.id(t).node
					ns.refuse(home)
					b.set(t, m, "who", "new")
					ns.comeBack(t, cfg, home)
				}
				b.set(t, m, "who", "new")
				for id, item := range recorded {
					ns.node(id).SetItem(item)
				}
				time.Sleep(2 * confirmInterval) // until then a sticky instance would not look
				if got := b.get(t, m, "who"); got == "old" || tt.mode == "sticky" && got != "new" {
					t.Errorf("who = %q, want new", got)
				}
			})
		})
	}
}

// SR-44, Row 9: a session that grows too large is refused here, with the names of its
// largest attributes and nothing else of it; what was stored stays.
func TestSR44_Oversize(t *testing.T) {
	inBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
		m := instance(t, cfg)
		b := new(browser)
		b.visit(m, func(s *Session) {
			must(t, s.Set("who", "me"))
			must(t, s.Set("large", strings.Repeat("L", 600_000)))
		})
		before := ns.stores()
		w := b.visit(m, func(s *Session) {
			must(t, s.Set("larger", strings.Repeat("secret", 120_000)))
			err := s.Save(s.ctx)
			if !errors.Is(err, ErrTooLarge) {
				t.Fatalf("Save = %v, want ErrTooLarge", err)
			}
			text := err.Error()
			if !strings.Contains(text, `"larger"`) || !strings.Contains(text, `"large"`) || strings.Contains(text, "secret") || strings.Contains(text, "LLL") {
				t.Errorf("the error says %.300s, want the names of the largest attributes alone", text)
			}
		})
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503: the change is not stored", w.Code)
		}
		if got := ns.stores() - before; got != 0 {
			t.Errorf("%d stores, want none", got)
		}
		cfg.Route = "tc2"
		for _, m := range []*Manager{m, instance(t, cfg)} {
			b.visit(m, func(s *Session) {
				var who, large string
				_, err1 := s.Get("who", &who)
				_, err2 := s.Get("large", &large)
				names, err3 := s.Names()
				must(t, errors.Join(err1, err2, err3))
				if who != "me" || len(large) != 600_000 || len(names) != 2 {
					t.Errorf("afterwards: who = %q, large has %d bytes, attributes %v", who, len(large), names)
				}
			})
		}
	})
}

// certificate makes a certificate of its own for 127.0.0.1.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "memcached"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// SR-48: TLS to the nodes, by way of Config.Client: certificates are verified
// unless somebody switches that off, and nothing older than TLS 1.2 is spoken.
func TestSR48_TLS(t *testing.T) {
	cert, roots := certificate(t)
	for _, tt := range []struct {
		name   string
		client *tls.Config
		server *tls.Config
		want   bool
	}{
		{"verified", &tls.Config{RootCAs: roots}, &tls.Config{}, true},
		{"nobody knows the certificate", &tls.Config{}, &tls.Config{}, false},
		{"another name", &tls.Config{RootCAs: roots, ServerName: "elsewhere"}, &tls.Config{}, false},
		{"TLS 1.1", &tls.Config{RootCAs: roots}, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.server.Certificates = []tls.Certificate{cert}
			s, err := memcachetest.New(memcachetest.Config{TLS: tt.server})
			must(t, err)
			defer s.Close()
			client, err := memcache.New(memcache.Config{Nodes: "n1:" + s.Addr(), TLS: tt.client})
			must(t, err)
			defer client.Close()
			m := instance(t, Config{Client: client, NonSticky: true})
			b := new(browser)
			w := b.visit(m, func(s *Session) { must(t, s.Set("who", "me")) })
			if got := w.Code == http.StatusOK; got != tt.want || (s.Len() == 1) != tt.want {
				t.Errorf("status %d and %d items; want it stored: %v", w.Code, s.Len(), tt.want)
			}
		})
	}
}

// SR-52, Row 24: replies that come twice, late or cut off never show one session to
// another browser.
func TestSR52_Desynchronised(t *testing.T) {
	faults := map[string]memcachetest.Fault{
		"twice": {Duplicate: true}, "late": {Delay: 350 * time.Millisecond}, "cut off": {Truncate: 30}, "twice and late": {Duplicate: true, Delay: 10 * time.Millisecond},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			bubbleInBothModes(t, 2, func(t *testing.T, ns *nodes, cfg Config) {
				cfg.Route = ""
				m := instance(t, cfg)
				browsers := make([]*browser, 10)
				for i := range browsers {
					browsers[i] = new(browser)
					browsers[i].set(t, m, "who", fmt.Sprint("user ", i))
				}
				other := instance(t, cfg) // a sticky one has to ask memcached, too
				for round := range 6 {
					ns.sicken(fault)
					if round%2 == 1 {
						ns.sicken(memcachetest.Fault{})
					}
					for i, b := range browsers {
						b.clone().visit(other, func(s *Session) {
							var who string
							ok, err := s.Get("who", &who)
							if want := fmt.Sprint("user ", i); ok && who != want || err == nil && !ok {
								t.Errorf("round %d: %s sees who = %q, %v, %v", round, want, who, ok, err)
							}
						})
					}
				}
				ns.sicken(memcachetest.Fault{})
				time.Sleep(time.Second)
				must(t, cfg.Client.Reach(t.Context()))
				time.Sleep(time.Second)
				for i, b := range browsers {
					if got, want := b.get(t, other, "who"), fmt.Sprint("user ", i); got != want {
						t.Errorf("afterwards: who = %q, want %q", got, want)
					}
				}
			})
		})
	}
}
