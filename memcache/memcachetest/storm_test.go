package memcachetest

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Clients of all protocols, while faults come and go and others look inside: no
// race, no leak, and Close ends it all.
func TestFaultStorm(t *testing.T) {
	faults := []Fault{
		{}, {Hang: true}, {Refuse: true}, {Reset: true}, {Delay: time.Millisecond}, {Truncate: 3}, {Duplicate: true},
		{Fail: "SERVER_ERROR no"}, {Delay: time.Hour}, {Duplicate: true, Truncate: 9, Delay: time.Microsecond}, {},
	}
	onEach(t, func(t *testing.T, s *Server) {
		ctx, stop := context.WithCancel(context.Background())
		turns := make(chan struct{})
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Add(1)
			go func() { // ends when ctx does
				defer clients.Done()
				rnd := rand.New(rand.NewPCG(uint64(i), 7))
				for ctx.Err() == nil {
					abuse(ctx, s, rnd)
					select {
					case turns <- struct{}{}:
					default:
					}
				}
			}()
		}
		rnd := rand.New(rand.NewPCG(8, 9))
		for range 500 {
			s.SetFault(faults[rnd.IntN(len(faults))])
			s.SetItem(Item{Key: "k", Value: []byte("v")})
			s.Get("k")
			s.Items()
			s.Traffic()
			select {
			case <-turns: // somebody met the fault
			case <-time.After(time.Duration(rnd.IntN(2000)) * time.Microsecond): // or nobody gets on
			}
		}
		s.SetFault(Fault{})
		survives(t, s)
		s.Close()
		stop()
		clients.Wait()
	})
}

// abuse is one connection of a client that expects nothing.
func abuse(ctx context.Context, s *Server, rnd *rand.Rand) {
	nc, err := s.DialContext(ctx, "", "")
	if err != nil {
		return
	}
	defer nc.Close()
	binary := rnd.IntN(3) == 0
	for range rnd.IntN(20) {
		cmd := commands[rnd.IntN(len(commands))].send
		if (cmd[0] == binaryRequest) != binary {
			continue
		}
		nc.SetDeadline(time.Now().Add(time.Duration(rnd.IntN(5)) * time.Millisecond))
		io.WriteString(nc, cmd)
		nc.Read(make([]byte, 64))
	}
}
