package main

import "syscall"

// apart keeps the terminal's signals from a process, and has it end with this one.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
