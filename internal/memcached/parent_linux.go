package memcached

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the child when a test run dies without
// cleaning up: after a panic, or at the deadline of go test.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
