//go:build !linux

package ejabberd

import "syscall"

func dieWithUs(*syscall.SysProcAttr) {}
