package memcachetest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed99545744/msm/internal/memcached"
)

// What -Y makes of a conversation is the same here and there.
func TestAuthenticationASCII(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("user:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []struct{ name, send, want string }{
		{"a command", "version\r\n", "CLIENT_ERROR unauthenticated\r\n"},
		{"a short command", "get k\r\n", "CLIENT_ERROR unauthenticated\r\n"},
		{"meta set is no set", "ms auth 11 T0\r\n", "CLIENT_ERROR unauthenticated\r\n"},
		{"no length", "set auth 0 0 x\r\n", "CLIENT_ERROR unauthenticated\r\n"},
		{"wrong password", "set auth 0 0 10\r\nuser wrong\r\n", "CLIENT_ERROR authentication failure\r\n"},
		{"wrong user", "set auth 0 0 11\r\nnobo secret\r\n", "CLIENT_ERROR authentication failure\r\n"},
		{"one word", "set auth 0 0 6\r\nsecret\r\n", "CLIENT_ERROR bad authentication token format\r\n"},
		{"no line end", "set auth 0 0 6\r\nsecretxx", "CLIENT_ERROR bad command line termination\r\n"},
		{"right", "set auth 0 0 11\r\nuser secret\r\n", "STORED\r\n"},
		{"nothing was stored", "get auth\r\n", "END\r\n"},
		{"a second time it is a set like others", "set auth 0 0 11\r\nuser secret\r\nget auth\r\n", "STORED\r\nVALUE auth 0 11\r\nuser secret\r\nEND\r\n"},
	}
	for _, server := range []struct {
		name string
		addr func(t *testing.T) string
	}{
		{"memcached", func(t *testing.T) string { return memcached.Start(t, "-Y", file).Addr() }},
		{"memcachetest", func(t *testing.T) string { return start(t, Config{Username: "user", Password: "secret"}).Addr() }},
	} {
		t.Run(server.name, func(t *testing.T) {
			c := dialTCP(t, server.addr(t))
			for _, step := range steps {
				t.Log(step.name)
				c.want(step.send, step.want)
			}
		})
	}
}

func TestAuthenticationSASL(t *testing.T) {
	s := start(t, Config{Username: "user", Password: "secret", Network: new(Network)})
	noop, ok := packet(0x0a, "", "", ""), answer(0x0a, statusOK, "")

	c := dial(t, s)
	c.want(packet(0x0b, "", "", ""), answer(0x0b, statusOK, version)) // allowed to anybody
	c.want(packet(0x20, "", "", ""), answer(0x20, statusOK, "PLAIN"))
	c.want(packet(0x21, "CRAM-MD5", "", "x"), answer(0x21, statusAuth, "Auth failure."))
	c.want(packet(0x21, "PLAIN", "", "\x00user\x00wrong"), answer(0x21, statusAuth, "Auth failure."))
	c.want(packet(0x21, "PLAIN", "", "\x00user\x00secret"), answer(0x21, statusOK, "Authenticated"))
	c.want(noop, ok)

	c = dial(t, s)
	c.want(packet(0x21, "PLAIN", "", ""), answer(0x21, statusAuthContinue, ""))
	c.want(packet(0x22, "PLAIN", "", "\x00user\x00secret"), answer(0x22, statusOK, "Authenticated"))
	c.want(noop, ok)

	c = dial(t, s)
	c.send(noop)
	c.wantEnd(answer(0x0a, statusAuth, "Auth failure."), nil)

	open := start(t, Config{Network: new(Network)})
	dial(t, open).want(packet(0x20, "", "", ""), answer(0x20, statusUnknown, "Unknown command"))
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer web.Close()
	s := start(t, Config{TLS: &tls.Config{Certificates: web.TLS.Certificates}})
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	raw, err := s.DialContext(context.Background(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}))
	c.want("set k 0 0 1\r\nv\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n")
	s.SetFault(Fault{Reset: true})
	c.send("get k\r\n")
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("got an answer, want a reset")
	}
}
