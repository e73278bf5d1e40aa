//go:build !linux || 386 || s390x || race || msan || asan

package mux

import (
	"math"
	"net"
	"time"
)

// socket reads and writes a connection, and knows nothing better than net does.
type socket struct{ nc net.Conn }

func (s *socket) init(nc net.Conn)            { s.nc = nc }
func (s *socket) maxRound() time.Duration     { return math.MaxInt64 }
func (s *socket) read(b []byte) (int, error)  { return s.nc.Read(b) }
func (s *socket) write(b []byte) (int, error) { return s.nc.Write(b) }

// readable tells whether there may be something to read on a socket.
func readable(uintptr) bool { return true }
