package xmppbridge

import (
	"net"
	"syscall"
)

const (
	tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT, not in package syscall
	userTimeoutMS  = 25_000
)

// quickConn acknowledges at once what it has read. A server that leaves Nagle's algorithm on (Prosody's default) holds an ask back until the event before it is
// acknowledged, which the kernel delays by 40 ms.
type quickConn struct {
	*net.TCPConn
	raw syscall.RawConn
	ack func(fd uintptr)
}

func (c *quickConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if err == nil {
		_ = c.raw.Control(c.ack)
	}
	return n, err
}

// tuned sets what makes a socket quick and its death noticed within 30 s. Go sets TCP_NODELAY by itself. A kernel that refuses an option works without.
func tuned(tcp *net.TCPConn) net.Conn {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return tcp
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, userTimeoutMS)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
	return &quickConn{TCPConn: tcp, raw: raw, ack: func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	}}
}
