package memcachetest

import (
	"bytes"
	"errors"
	"time"
)

// Fault is what a sick server or network does. The zero Fault is health. Fields
// may be combined; what comes first in a connection's life wins: Refuse, Hang,
// Reset, Fail, Delay, Duplicate, Truncate.
type Fault struct {
	// Refuse closes all connections, and new ones are refused, as if no server
	// ran. The items stay.
	Refuse bool

	// Hang is a frozen process or a network that swallows packets: connections
	// and bytes are accepted and nothing is answered, on old connections and on
	// new ones. When the fault ends, the commands that came meanwhile are
	// executed and answered, as by a process that gets SIGSTOP and SIGCONT: also
	// those whose sender has given up.
	Hang bool

	// Reset breaks a connection with a TCP RST on its next command, which is
	// not executed.
	Reset bool

	// Delay passes between a command's execution and its reply. Commands that
	// come together are answered together, as over a long way: the many that
	// make one GetMulti wait once.
	Delay time.Duration

	// Truncate sends that many bytes of a reply at most, then closes the
	// connection; 0 does nothing.
	Truncate int

	// Duplicate sends every reply twice.
	Duplicate bool

	// Fail answers every command with this line instead of executing it, for
	// example "SERVER_ERROR out of memory". In the binary protocol it is the
	// text of an error: status 0x81 for "ERROR", 0x04 for CLIENT_ERROR, 0x82
	// for the rest. A meta no-op is answered all the same: servers and proxies
	// have nothing to refuse in it, and it ends the replies before it. Only
	// "ERROR", which says that a command is unknown, stands for it, too.
	Fail string
}

// fails tells whether Fail answers an ASCII command.
func (f *Fault) fails(name string) bool { return f.Fail != "" && (name != "mn" || f.Fail == "ERROR") }

// touchesReplies tells whether replies must be held until they are complete.
func (f *Fault) touchesReplies() bool {
	return f.Delay > 0 || f.Truncate > 0 || f.Duplicate
}

// health is a Fault in force.
type health struct {
	Fault
	over chan struct{} // closed when the next one is in force
}

// Why a connection ends on purpose.
var (
	errClose = errors.New("memcachetest: closed by the server")
	errReset = errors.New("memcachetest: reset by the server")
)

// SetFault makes the server sick from now on, until the next call; the zero
// Fault heals it. A reply that is on its way when SetFault is called may still
// arrive.
//
// When Refuse ends the server listens at its old address again. Should another
// process have taken the port, it tries for two seconds and then stays away.
func (s *Server) SetFault(f Fault) {
	s.control.Lock()
	defer s.control.Unlock()
	old := s.health.Swap(&health{Fault: f, over: make(chan struct{})})
	close(old.over)
	switch {
	case f.Refuse:
		s.hangUp()
	case old.Refuse && !s.closed:
		s.listen() // its error has nowhere to go: the server stays unreachable
	}
}

// admit holds a command that was read whole back while the server hangs. Then it
// notes the fault under which the command is executed, and where its reply
// begins.
func (c *conn) admit() error {
	h, err := c.awaitHealth()
	if err == nil && h.Reset {
		err = errReset
	}
	c.fault, c.start = h.Fault, len(c.out)
	return err
}

// awaitHealth returns what is in force as soon as the server does not hang.
func (c *conn) awaitHealth() (*health, error) {
	for {
		h := c.srv.health.Load()
		switch {
		case h.Refuse, c.isGone():
			return h, errClose
		case !h.Hang:
			return h, nil
		}
		select {
		case <-h.over:
		case <-c.gone:
			return h, errClose
		}
	}
}

// isGone tells whether the server has hung up: nothing is executed any more,
// however healthy it is by now.
func (c *conn) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// spoil does to the reply of a command what the fault demands.
func (c *conn) spoil() error {
	f := &c.fault
	if c.start == len(c.out) || !f.touchesReplies() {
		return nil
	}
	if f.Delay > 0 {
		if err := c.holdBack(f.Delay); err != nil {
			return err
		}
	}
	if f.Duplicate {
		c.out = append(c.out, c.out[c.start:]...)
	}
	if f.Truncate > 0 {
		c.out = c.out[:min(len(c.out), c.start+f.Truncate)]
		return errClose
	}
	return nil
}

// holdBack lets the reply, and what is going to gather behind it, leave in d.
// What is older and was not held back leaves now.
func (c *conn) holdBack(d time.Duration) error {
	if c.due.IsZero() {
		reply := bytes.Clone(c.out[c.start:])
		c.out = c.out[:c.start]
		if err := c.flush(); err != nil {
			return err
		}
		c.out, c.start = append(c.out, reply...), 0
	}
	c.due = time.Now().Add(d)
	return nil
}

// awaitDue returns when what is held back may leave.
func (c *conn) awaitDue() error {
	if c.due.IsZero() {
		return nil
	}
	timer := time.NewTimer(time.Until(c.due))
	defer timer.Stop()
	c.due = time.Time{}
	select {
	case <-timer.C:
		return nil
	case <-c.gone:
		return errClose
	}
}
