//go:build !linux

package redistest

import "syscall"

// dieWithParent has no portable form: elsewhere a killed test binary leaves
// its servers running.
func dieWithParent() *syscall.SysProcAttr { return nil }
