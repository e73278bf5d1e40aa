//go:build !unix

package memcached

import "syscall"

// Without memcached nothing is ever sent.
const (
	freeze = syscall.Signal(0)
	thaw   = syscall.Signal(0)
)
