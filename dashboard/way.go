package dashboard

import (
	"net/netip"
	"sync"
)

// way says in the log what is wrong with the way by which passwords come. Each thing is said once.
type way struct{ plain, shared sync.Once }

func (w *way) look(v *visit) {
	at, err := netip.ParseAddrPort(v.r.RemoteAddr)
	if err != nil {
		return // no TCP
	}
	peer := at.Addr().Unmap().WithZone("")
	if !v.d.cfg.Secure(v.r) && !peer.IsLoopback() {
		w.plain.Do(func() {
			v.d.log.WarnContext(v.ctx, "a password for the dashboard has come from another machine without TLS: put a proxy with TLS before bindgate, and set the public URL to its https address", "peer", peer)
		})
	}
	if passed := v.r.Header.Get("X-Forwarded-For") != "" || v.r.Header.Get("Forwarded") != ""; passed && v.address == peer {
		w.shared.Do(func() {
			v.d.log.WarnContext(v.ctx, "a login has come through a proxy that is not trusted, or whose headers do not agree: all people behind it count as one address, and share the wait after failed logins; if it is yours, name it in the trusted proxies", "peer", peer)
		})
	}
}
