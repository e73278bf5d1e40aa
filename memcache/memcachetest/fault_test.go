package memcachetest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed99545744/msm/internal/leaktest"
)

// packet makes a binary request whose opaque is its opcode.
func packet(opcode byte, key, extras, value string) string {
	be := binary.BigEndian
	b := []byte{binaryRequest, opcode}
	b = be.AppendUint16(b, uint16(len(key)))
	b = append(b, byte(len(extras)), 0, 0, 0)
	b = be.AppendUint32(b, uint32(len(extras)+len(key)+len(value)))
	b = be.AppendUint32(b, uint32(opcode))
	b = append(b, make([]byte, 8)...)
	return string(b) + extras + key + value
}

// answer makes a binary reply without extras and key.
func answer(opcode byte, s status, value string) string {
	b := []byte(packet(opcode, "", "", value))
	b[0] = binaryResponse
	binary.BigEndian.PutUint16(b[6:], uint16(s))
	return string(b)
}

// commands are one command of every protocol, with the reply of a healthy
// server and of one that fails every command.
var commands = []struct{ name, send, reply, fail, failed string }{
	{"classic", "get k\r\n", "END\r\n", "SERVER_ERROR no", "SERVER_ERROR no\r\n"},
	{"classic set", "set k 0 0 1\r\nv\r\n", "STORED\r\n", "SERVER_ERROR no", "SERVER_ERROR no\r\n"},
	{"meta", "mg k v O1\r\n", "EN O1\r\n", "CLIENT_ERROR no", "CLIENT_ERROR no\r\n"},
	{"meta set", "ms k 1 c\r\nv\r\n", "HD c1\r\n", "ERROR", "ERROR\r\n"},
	{"binary", packet(0x0a, "", "", ""), answer(0x0a, statusOK, ""), "SERVER_ERROR no", answer(0x0a, statusNoMemory, "SERVER_ERROR no")},
	{"binary delete", packet(0x04, "k", "", ""), answer(0x04, statusNotFound, "Not found"), "ERROR", answer(0x04, statusUnknown, "ERROR")},
	{"binary getq", packet(0x09, "k", "", "") + packet(0x0a, "", "", ""), answer(0x0a, statusOK, ""), "", ""},
}

func TestHealthy(t *testing.T) {
	for _, cmd := range commands {
		t.Run(cmd.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *Server) { dial(t, s).want(cmd.send, cmd.reply) })
		})
	}
}

// A command that meets a resetting server is not executed.
func TestReset(t *testing.T) {
	for _, cmd := range commands {
		t.Run(cmd.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *Server) {
				idle, c := dial(t, s), dial(t, s)
				c.want(cmd.send, cmd.reply)
				s.Flush()
				s.SetFault(Fault{Reset: true})
				c.send(cmd.send)
				c.wantEnd("", syscall.ECONNRESET)
				if n := s.Len(); n != 0 {
					t.Errorf("got %d items, want the command not executed", n)
				}
				s.SetFault(Fault{})
				idle.send("version\r\n") // was never touched
				if _, err := idle.r.ReadByte(); err != nil {
					t.Errorf("a connection without a command: %v", err)
				}
			})
		})
	}
}

func TestTruncate(t *testing.T) {
	for _, cmd := range commands {
		t.Run(cmd.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *Server) {
				for _, n := range []int{1, len(cmd.reply) - 1, len(cmd.reply), len(cmd.reply) + 1} {
					forget(s)
					s.SetFault(Fault{Truncate: n})
					c := dial(t, s)
					c.send(cmd.send)
					c.wantEnd(cmd.reply[:min(n, len(cmd.reply))], nil)
				}
			})
		})
	}
}

func TestDuplicate(t *testing.T) {
	for _, cmd := range commands {
		t.Run(cmd.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *Server) {
				s.SetFault(Fault{Duplicate: true})
				c := dial(t, s)
				c.want(cmd.send, cmd.reply+cmd.reply)
				s.SetFault(Fault{Duplicate: true, Truncate: len(cmd.reply) + 2})
				forget(s)
				c.send(cmd.send)
				c.wantEnd((cmd.reply + cmd.reply)[:len(cmd.reply)+2], nil)
			})
		})
	}
}

func TestFail(t *testing.T) {
	for _, cmd := range commands {
		if cmd.fail == "" {
			continue
		}
		t.Run(cmd.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *Server) {
				c := dial(t, s)
				s.SetFault(Fault{Fail: cmd.fail})
				c.want(cmd.send+cmd.send, cmd.failed+cmd.failed)
				s.SetFault(Fault{})
				c.want(cmd.send, cmd.reply)
			})
		})
	}
}

// A no-op ends the replies before it, whatever became of them, unless the server
// does not know it.
func TestFailLeavesNoops(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		c := dial(t, s)
		s.SetFault(Fault{Fail: "SERVER_ERROR out of memory"})
		c.want("mg k v\r\nmn\r\n", "SERVER_ERROR out of memory\r\nMN\r\n")
		s.SetFault(Fault{Fail: "ERROR"})
		c.want("mg k v\r\nmn\r\n", "ERROR\r\nERROR\r\n")
	})
}

// The reply comes late, the command is executed at once: a client that gives up
// does not know what became of it.
func TestDelay(t *testing.T) {
	for _, cmd := range commands {
		t.Run(cmd.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewMemServer()
				defer s.Close()
				c := dial(t, s)
				s.SetFault(Fault{Delay: time.Minute})
				c.nc.SetDeadline(time.Now().Add(time.Hour))
				start := time.Now()
				c.want(cmd.send, cmd.reply)
				if got := time.Since(start); got != time.Minute {
					t.Errorf("the reply took %v, want 1m", got)
				}
				n := s.Traffic().Total()
				c.send(cmd.send)
				synctest.Wait()
				if got := s.Traffic().Total(); got != 2*n {
					t.Errorf("got %d commands before the reply, want %d", got, 2*n)
				}
				c.nc.Close()
			})
		})
	}
}

// Commands that come together wait once; what comes behind them waits for itself.
func TestDelayTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemServer()
		defer s.Close()
		c := dial(t, s)
		c.nc.SetDeadline(time.Now().Add(time.Hour))
		s.SetFault(Fault{Delay: time.Second})
		start := time.Now()
		c.send("mn\r\nmn\r\n")
		synctest.Wait()
		c.send("mn\r\n")
		for i, want := range []time.Duration{time.Second, time.Second, 2 * time.Second} {
			c.want("", "MN\r\n")
			if got := time.Since(start); got != want {
				t.Errorf("reply %d after %v, want %v", i, got, want)
			}
		}
		c.nc.Close()
	})
}

// What is still owed when the server closes does not keep Close waiting.
func TestCloseWhileBusy(t *testing.T) {
	faults := []struct {
		name  string
		fault Fault
	}{
		{"healthy", Fault{}},
		{"hanging", Fault{Hang: true}},
		{"delayed", Fault{Delay: time.Hour}},
		{"delayed and doubled", Fault{Delay: time.Hour, Duplicate: true}},
	}
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *Server) {
				s.SetItem(Item{Key: "k", Value: make([]byte, 1<<20)})
				s.SetFault(tt.fault)
				for range 5 { // clients that ask for much and read nothing
					c := dial(t, s)
					c.nc.SetDeadline(time.Now().Add(100 * time.Millisecond))
					io.WriteString(c.nc, strings.Repeat("get k k k k\r\n", 2000)) // may fill all buffers
				}
				s.Close()
			})
		})
	}
}

// A hanging server that is then refused never executes what it had.
func TestHangThenRefuse(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		c := dial(t, s)
		c.want("mn\r\n", "MN\r\n")
		s.SetFault(Fault{Hang: true})
		c.send("set k 0 0 1\r\nv\r\n")
		s.SetFault(Fault{Refuse: true})
		s.SetFault(Fault{})
		if _, err := c.r.ReadByte(); err == nil {
			t.Error("got an answer, want the connection gone")
		}
		if n := s.Len(); n != 0 {
			t.Errorf("got %d items, want 0", n)
		}
		if _, err := s.DialContext(context.Background(), "", ""); err != nil {
			t.Errorf("dial: %v", err)
		}
	})
}

// SIGCONT: also what its sender has given up is executed.
func TestHangExecutesLater(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		s.SetFault(Fault{Hang: true})
		c := dial(t, s)
		c.send("set k 0 0 1\r\nv\r\n")
		c.nc.Close()
		s.SetFault(Fault{})
		for end := time.Now().Add(5 * time.Second); s.Len() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the command was not executed within 5 s")
			}
		}
	})
}

func TestRefuseThenClose(t *testing.T) {
	leaktest.Check(t)
	s := NewServer()
	s.SetFault(Fault{Refuse: true})
	s.Close()
	s.SetFault(Fault{}) // of a closed server: it stays closed
	if _, err := s.DialContext(context.Background(), "", ""); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: got %v, want ECONNREFUSED", err)
	}
}
