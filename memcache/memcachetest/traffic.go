package memcachetest

import (
	"maps"
	"sync"
	"sync/atomic"
)

// traffic counts what went through a server's connections.
type traffic struct {
	accepted, received, sent atomic.Int64

	mu       sync.Mutex
	commands map[string]int // guarded by mu
}

func (t *traffic) command(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.commands == nil {
		t.commands = make(map[string]int)
	}
	t.commands[name]++
}

// Traffic is what a server has seen since it was started.
type Traffic struct {
	Conns    int            // connections accepted
	Open     int            // connections open now
	Received int64          // bytes; with TLS, what was in it
	Sent     int64          // bytes
	Commands map[string]int // by name
}

// Total returns the number of commands.
func (t Traffic) Total() int {
	n := 0
	for _, m := range t.Commands {
		n += m
	}
	return n
}

// Traffic returns what the server has seen: a test that says "this sends nothing
// to memcached" compares Received before and after.
//
// Commands go by their ASCII names ("get", "mg", "set"), those of the binary
// protocol by the name that protocol-binary.txt has for their opcode, in lower
// case ("get", "getkq", "setq"); those that memcached does not know are
// "unknown", and what is said before authentication is "auth". Commands that a
// fault answers, and those that it leaves without an answer, count.
func (s *Server) Traffic() Traffic {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	t := &s.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	return Traffic{
		Conns:    int(t.accepted.Load()),
		Open:     open,
		Received: t.received.Load(),
		Sent:     t.sent.Load(),
		Commands: maps.Clone(t.commands),
	}
}
