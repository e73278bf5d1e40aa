package wiretest_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
	"github.com/seed99545744/msm/internal/memcached"
	"github.com/seed99545744/msm/internal/wiretest"
	"github.com/seed99545744/msm/memcache/memcachetest"
)

// recordedFrom is the version whose words the transcripts are.
const recordedFrom = "1.6.18"

// server is anything that a transcript is played against: a new one for each,
// since CAS numbers and items must be the transcript's own.
type server struct {
	name  string
	start func(t *testing.T) (dial func() (net.Conn, error))
}

func servers() []server {
	fake := func(start func() *memcachetest.Server) func(t *testing.T) func() (net.Conn, error) {
		return func(t *testing.T) func() (net.Conn, error) {
			s := start()
			t.Cleanup(s.Close)
			return func() (net.Conn, error) { return s.DialContext(context.Background(), "", "") }
		}
	}
	return []server{
		{"memcached", func(t *testing.T) func() (net.Conn, error) {
			s := memcached.StartVersion(t, recordedFrom)
			return func() (net.Conn, error) { return net.Dial("tcp", s.Addr()) }
		}},
		{"memcachetest", fake(memcachetest.NewServer)},
		{"memory", fake(memcachetest.NewMemServer)},
	}
}

// What is recorded of a server holds for memcached, and for memcachetest over
// sockets and in memory, however the bytes are cut into packets.
func TestTranscripts(t *testing.T) {
	all, err := wiretest.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range all {
		t.Run(tr.Name, func(t *testing.T) {
			for _, s := range servers() {
				t.Run(s.name, func(t *testing.T) {
					leaktest.Check(t)
					play(t, tr, s, wiretest.Player{})
				})
			}
			t.Run("memory/in pieces", func(t *testing.T) {
				play(t, tr, servers()[2], wiretest.Player{Chunk: 1})
			})
		})
	}
}

func play(t *testing.T, tr *wiretest.Transcript, s server, p wiretest.Player) {
	t.Helper()
	nc, err := s.start(t)()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	if err := p.Play(tr, nc); err != nil {
		t.Error(err)
	}
}
