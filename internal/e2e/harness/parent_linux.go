package harness

import "syscall"

// dieWithParent makes the kernel kill the child when the test's process ends
// without its clean-ups: after a panic or a timeout.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
