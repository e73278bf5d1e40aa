//go:build linux && !msan

package mux

import (
	"io"
	"math"
	"net"
	"os"
	"reflect"
	"syscall"
	"time"
)

// quickBytes is how much a system call may carry that the scheduler is not told
// of: some 20 µs of copying, in which the processor serves no other goroutine.
const quickBytes = readBufMax

// maxPulse is the longest time between alarms of a connection that has calls in
// flight and such system calls. The runtime's monitor preempts goroutines, and
// polls the network for processors that are all busy. It sleeps while all are idle,
// until a system call or the next timer: if a reply that it does not see is what
// sets the processors to work, a timer must be near.
const maxPulse = 10 * time.Millisecond

// socket reads and writes a connection. Calls to a plain socket, which never
// block, are made past the scheduler: it would wake its monitor for every batch,
// and the monitor would take the processor from a writer whose server had been
// given the core. Client and server take an eighth less CPU time per operation
// for it among 8 callers, a sixth less among 64, and a lone caller up to half.
// Where other system calls wake the monitor anyway, as behind net/http, it
// changes nothing.
type socket struct {
	nc      net.Conn
	raw     syscall.RawConn // nil: nc is something else
	in, out transfer
	glance  glance
}

func (s *socket) init(nc net.Conn) {
	s.nc, s.raw = nc, nil
	s.in.init(syscall.SYS_READV)
	s.out.init(syscall.SYS_WRITEV)
	s.glance.init()
	switch nc := nc.(type) { // not what wraps one, to see all that comes and goes
	case *net.TCPConn:
		s.raw = nonblocking(nc)
	case *net.UnixConn:
		s.raw = nonblocking(nc)
	}
}

// nonblocking returns the socket under a connection, or nil if calls to it may
// block: os.File.Fd leaves it so.
func nonblocking(nc syscall.Conn) syscall.RawConn {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil
	}
	var flags uintptr
	err = raw.Control(func(fd uintptr) {
		flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0)
	})
	if err != nil || flags&syscall.O_NONBLOCK == 0 {
		return nil
	}
	return raw
}

// pulse returns how far off the next alarm may be.
func (s *socket) pulse() time.Duration {
	if s.raw == nil {
		return math.MaxInt64
	}
	return maxPulse
}

// read is nc.Read. Only the reader calls it.
func (s *socket) read(b []byte) (int, error) {
	if s.raw == nil || len(b) == 0 || len(b) > quickBytes {
		return s.nc.Read(b)
	}
	t := &s.in
	t.carry(b)
	err := s.raw.Read(t.try)
	t.drop()
	switch {
	case err != nil:
		return 0, err
	case t.errno != 0:
		return 0, s.failure("read", t.errno)
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// write is nc.Write. Only the holder of the turn calls it.
func (s *socket) write(b []byte) (n int, err error) {
	if s.raw == nil || len(b) > quickBytes {
		return s.nc.Write(b)
	}
	t := &s.out
	for n < len(b) && err == nil {
		t.carry(b[n:])
		switch err = s.raw.Write(t.try); {
		case err != nil:
		case t.errno != 0:
			err = s.failure("write", t.errno)
		case t.n == 0:
			err = io.ErrNoProgress
		default:
			n += t.n
		}
	}
	t.drop()
	return n, err
}

// mayHold tells whether there may be something to read, or an end of it. The
// caller holds the turn.
func (s *socket) mayHold() bool {
	return s.raw == nil || s.raw.Control(s.glance.try) != nil || s.glance.ready
}

func (s *socket) failure(op string, errno syscall.Errno) error {
	addr := s.nc.RemoteAddr()
	return &net.OpError{Op: op, Net: addr.Network(), Source: s.nc.LocalAddr(), Addr: addr, Err: os.NewSyscallError(op, errno)}
}

// transfer is one direction of a socket: what readv(2) or writev(2) works on. It
// lies on the heap, where nothing moves, as long as its connection.
type transfer struct {
	call   uintptr
	addr   uintptr // of vector
	vector syscall.Iovec
	try    func(fd uintptr) (done bool) // attempt, made once so that calls do not allocate

	n     int
	errno syscall.Errno
}

func (t *transfer) init(call uintptr) {
	t.call, t.try = call, t.attempt
	t.addr = reflect.ValueOf(&t.vector).Pointer()
}

func (t *transfer) carry(b []byte) {
	t.vector.Base = &b[0]
	t.vector.SetLen(len(b))
	t.n, t.errno = 0, 0
}

// drop lets go of the caller's memory.
func (t *transfer) drop() { t.vector.Base = nil }

// attempt makes the call. It is not done if the socket is not ready.
func (t *transfer) attempt(fd uintptr) (done bool) {
	for {
		n, _, errno := syscall.RawSyscall(t.call, fd, t.addr, 1)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			t.n = int(n)
		}
		t.errno = errno
		return true
	}
}

// glance is what ppoll(2) works on, as transfer is for its calls.
type glance struct {
	addr, waitAddr uintptr          // of asked and wait
	wait           syscall.Timespec // stays zero
	try            func(fd uintptr) // attempt
	asked          struct {         // struct pollfd
		fd               int32
		events, happened int16
	}
	ready bool
}

func (g *glance) init() {
	const pollIn = 1 // POLLIN; what is wrong is told unasked
	g.asked.events, g.try = pollIn, g.attempt
	g.addr, g.waitAddr = reflect.ValueOf(&g.asked).Pointer(), reflect.ValueOf(&g.wait).Pointer()
}

func (g *glance) attempt(fd uintptr) {
	g.asked.fd, g.asked.happened = int32(fd), 0
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, g.addr, 1, g.waitAddr, 0, 0, 0)
	g.ready = n != 0 || errno != 0
}
