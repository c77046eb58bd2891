package ejabberd

import "syscall"

// dieWithUs has the kernel end the server when the process that started it is gone, however it went.
func dieWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
