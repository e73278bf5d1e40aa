//go:build unix

package memcached

import "syscall"

// What Stop and Continue send.
const (
	freeze = syscall.SIGSTOP
	thaw   = syscall.SIGCONT
)
