//go:build !linux

package harness

import "syscall"

// dieWithParent has no means here but the tests' clean-ups.
func dieWithParent() *syscall.SysProcAttr { return nil }
