//go:build !linux

package xmppbridge

import "net"

// tuned leaves the socket as it is: keepalive is set, and the rest is for Linux.
func tuned(tcp *net.TCPConn) net.Conn { return tcp }
