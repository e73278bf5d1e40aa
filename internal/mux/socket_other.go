//go:build !linux || msan

package mux

import (
	"math"
	"net"
	"time"
)

// socket reads and writes a connection.
type socket struct{ nc net.Conn }

func (s *socket) init(nc net.Conn)            { s.nc = nc }
func (s *socket) pulse() time.Duration        { return math.MaxInt64 }
func (s *socket) read(b []byte) (int, error)  { return s.nc.Read(b) }
func (s *socket) write(b []byte) (int, error) { return s.nc.Write(b) }
func (s *socket) mayHold() bool               { return true }
