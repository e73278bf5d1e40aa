//go:build unix

package mux

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// peeker looks at what a connection has received without reading it.
type peeker struct {
	raw    syscall.RawConn // nil: cannot look
	sealed bool            // pending bytes may be TLS records of no concern

	// Results of probe, which is made once so that looking does not allocate.
	probe func(fd uintptr)
	b     [1]byte
	n     int
	err   error
}

func (p *peeker) init(nc net.Conn) {
	if inner, ok := nc.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		nc, p.sealed = inner.NetConn(), true
	}
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
		return fmt.Errorf("memcache: connection lost: %w", err)
	}
	switch {
	case errors.Is(p.err, syscall.EAGAIN) || errors.Is(p.err, syscall.EINTR):
		return nil
	case p.err != nil:
		return fmt.Errorf("memcache: connection lost: %w", p.err)
	case p.n <= 0:
		return fmt.Errorf("memcache: connection lost: %w", io.EOF)
	case p.sealed:
		return nil
	}
	return errStray
}
