//go:build linux && !386 && !s390x && !race && !msan && !asan

// Without the sanitizers, which package syscall tells what a call has read and
// written, and when. Linux on 386 and s390x has no system calls of these names.

package mux

import (
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// rawMax is how much a system call may carry that the scheduler is not told of.
// Over loopback such a write takes 16 µs, a read 10; a processor serves no other
// goroutine, nor the garbage collector, meanwhile.
const rawMax = readBufMax

// rawRound is the longest time between the watchdog's rounds while raw calls are
// made: the time slice after which the runtime's monitor preempts a goroutine. The
// monitor also polls the network for processors that are all busy. It sleeps while
// all are idle, until a system call or the next timer: if a reply that it does not
// see is what sets the processors to work, a timer must be near.
const rawRound = 10 * time.Millisecond

// socket reads and writes a connection. Calls to a plain socket, which never
// block, are made past the scheduler, raw: it would wake its monitor for every
// batch, and the monitor would take the processor from a writer whose server had
// been given the core. On two processors client and server take an eighth less CPU
// time per operation for it among 8 callers, a sixth less among 64, and a lone
// caller half; the price is 2 to 15 % of the throughput among 8. Where other system
// calls wake the monitor anyway, as behind net/http, it changes nothing.
type socket struct {
	// Immutable.
	nc  net.Conn
	raw syscall.RawConn // nil: nc is something else

	in  transfer // owned by the holder of the reader's role
	out transfer // owned by the holder of the turn
}

func (s *socket) init(nc net.Conn) {
	s.nc = nc
	s.in.init(syscall.SYS_RECVFROM, syscall.MSG_DONTWAIT)
	s.out.init(syscall.SYS_SENDTO, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	var err error
	switch nc := nc.(type) { // not what wraps one, to see all that comes and goes
	case *net.TCPConn:
		s.raw, err = nc.SyscallConn()
	case *net.UnixConn:
		s.raw, err = nc.SyscallConn()
	}
	if err != nil {
		s.raw = nil
	}
}

// maxRound returns how far off the watchdog's next round may be.
func (s *socket) maxRound() time.Duration {
	if s.raw == nil {
		return math.MaxInt64
	}
	return rawRound
}

// read is nc.Read. Only the reader calls it.
func (s *socket) read(b []byte) (int, error) {
	if s.raw == nil || len(b) == 0 || len(b) > rawMax {
		return s.nc.Read(b)
	}
	t := &s.in
	t.b = b
	err := s.raw.Read(t.try)
	t.b = nil
	switch {
	case err != nil:
		return 0, renamed(err, "read")
	case t.errno != 0:
		return 0, s.failure("read", t.errno)
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// write is nc.Write. Only the holder of the turn calls it.
func (s *socket) write(b []byte) (n int, err error) {
	if s.raw == nil || len(b) > rawMax {
		return s.nc.Write(b)
	}
	t := &s.out
	for n < len(b) && err == nil {
		t.b = b[n:]
		switch err = s.raw.Write(t.try); {
		case err != nil:
			err = renamed(err, "write")
		case t.errno != 0:
			err = s.failure("write", t.errno)
		case t.n == 0:
			err = io.ErrUnexpectedEOF // as net has it
		default:
			n += t.n
		}
	}
	t.b = nil
	return n, err
}

// failure is the error that nc would return.
func (s *socket) failure(op string, errno syscall.Errno) error {
	e := &net.OpError{Op: op, Source: s.nc.LocalAddr(), Addr: s.nc.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
	if e.Source != nil {
		e.Net = e.Source.Network()
	}
	return e
}

// renamed is the error of a RawConn, which speaks of raw-read and raw-write, with
// the name that nc gives the operation.
func renamed(err error, op string) error {
	if e, ok := err.(*net.OpError); ok {
		e.Op = op
	}
	return err
}

// transfer is one direction of a socket: what recv(2) or send(2) works on. They never
// block, even if os.File.Fd has made the socket a blocking one: the garbage collector
// waits for a processor that is in a raw call.
//
// Package syscall has no raw call that takes a slice. The pointers here become
// numbers in the argument list of the call, pattern 4 of package unsafe: the
// compiler keeps what they point to in its place until the call returns.
type transfer struct {
	trap, flags uintptr                      // which call
	try         func(fd uintptr) (done bool) // call, bound once so that it does not allocate

	b     []byte // the caller's
	n     int
	errno syscall.Errno
}

func (t *transfer) init(trap, flags uintptr) { t.trap, t.flags, t.try = trap, flags, t.call }

// call is not done if the socket is not ready.
func (t *transfer) call(fd uintptr) (done bool) {
	for {
		n, _, errno := syscall.RawSyscall6(t.trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.b))), uintptr(len(t.b)), t.flags, 0, 0)
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

// readable tells whether there may be something to read on a socket, or an end of
// it: poll(2), which never blocks without a timeout, past the scheduler.
func readable(fd uintptr) bool {
	const pollIn = 1 // POLLIN; what is wrong is told unasked
	pollfd := struct {
		fd              int32
		events, revents int16
	}{int32(fd), pollIn, 0}
	var timeout syscall.Timespec
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&pollfd)), 1, uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	return n != 0 || errno != 0
}
