//go:build unix

package mux

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// peeker looks at what a connection has received without reading it.
type peeker struct {
	raw syscall.RawConn // nil: cannot look

	// Results of probe, which is made once so that looking does not allocate.
	probe func(fd uintptr)
	b     [1]byte
	n     int
	err   error
}

func (p *peeker) init(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	p.raw = raw
	p.probe = func(fd uintptr) {
		if !readable(fd) { // mostly, and Recvfrom would wake the scheduler's monitor
			p.err = syscall.EAGAIN
			return
		}
		p.n, _, p.err = syscall.Recvfrom(int(fd), p.b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
}

// look returns why an idle connection cannot carry a request: the server has
// closed it, or sent bytes that nobody asked for. It does not block.
func (p *peeker) look() error {
	if p.raw == nil {
		return nil
	}
	if err := p.raw.Control(p.probe); err != nil {
		return lost(err)
	}
	switch {
	case errors.Is(p.err, syscall.EAGAIN) || errors.Is(p.err, syscall.EINTR):
		return nil
	case p.err != nil:
		return lost(p.err)
	case p.n <= 0:
		return lost(io.EOF)
	}
	return errStray
}
