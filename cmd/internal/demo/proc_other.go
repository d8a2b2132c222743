//go:build !linux

package main

import "syscall"

// apart keeps the terminal's signals from a process. That it ends with this one has no
// portable form: elsewhere a killed demonstration leaves its processes running.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
