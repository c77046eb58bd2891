//go:build !linux

package prosody

import "syscall"

func dieWithUs(*syscall.SysProcAttr) {}
