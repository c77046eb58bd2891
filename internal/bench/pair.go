package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/rig"
)

// stoppable is a server that a row has started.
type stoppable interface {
	rig.Server
	Stop()
}

// serverKind is an XMPP server with and without the gate module, and what its rows have to show.
type serverKind struct {
	name     string
	suffix   string // of its rows' names
	replaces string // the server's own setting by which a newcomer replaces a session
	accounts string // how the distribution's package keeps passwords
	start    func(ctx context.Context, o setup) (stoppable, error)

	takeoverMost float64 // × pgbench's latency
	loginsLeast  float64 // of the logins without the module
}

// setup says how a row wants its server.
type setup struct {
	gated bool
	// registered is how many accounts there are, user0 and so on, with the password "pw"; 0: anybody is let in, and no password is looked at.
	registered int
}

var onProsody = serverKind{
	name: "Prosody, nagle off", replaces: "kick_old", accounts: "internal_hashed", takeoverMost: 2, loginsLeast: 0.75,
	start: func(ctx context.Context, o setup) (stoppable, error) {
		cfg := prosody.Config{LogLevel: "warn", WithoutGate: !o.gated}
		if o.registered > 0 {
			cfg.Global = `authentication = "internal_hashed"`
		}
		s, err := prosody.Start(ctx, cfg)
		if err != nil {
			return nil, err
		}
		for from := 0; from < o.registered; from += 50 { // its only thread is held meanwhile
			_, err := s.Eval(ctx, fmt.Sprintf(`for i = %d, %d do assert(require"core.usermanager".create_user("user"..i, "pw", %q)) end`, from, from+49, s.Domain()))
			if err != nil {
				s.Stop()
				return nil, err
			}
		}
		return s, nil
	},
}

var onEjabberd = serverKind{
	name: "ejabberd", suffix: "-ejabberd", replaces: "resource_conflict: closeold", accounts: "internal, scram", takeoverMost: 1.5, loginsLeast: 0.8,
	start: func(ctx context.Context, o setup) (stoppable, error) {
		cfg := ejabberd.Config{Spinning: true, Hosts: []ejabberd.Host{{}}, Lines: "resource_conflict: closeold\n"}
		if o.gated {
			cfg.Hosts[0].Modules = "mod_bindgate: {}" // and not what tests load beside it
		}
		if o.registered > 0 {
			cfg.Accounts = true
			cfg.Lines += "auth_password_format: scram\n"
		}
		s, err := ejabberd.Start(ctx, cfg)
		if err != nil {
			return nil, err
		}
		_, err = s.Eval(ctx, fmt.Sprintf(`[ok = ejabberd_auth:try_register(<<"user", (integer_to_binary(I))/binary>>, <<%q>>, <<"pw">>) || I <- lists:seq(0, %d)], ok`, s.Domain(), o.registered-1))
		if err != nil {
			s.Stop()
			return nil, err
		}
		return s, nil
	},
}

// pair is a server with the gate and one without, which take turns.
type pair struct {
	cluster      *pg.Cluster
	gate         *gate.Gate
	gated, plain stoppable
}

// gatedAndPlain starts both, a database and a bindgate in this process.
func gatedAndPlain(ctx context.Context, log *slog.Logger, on serverKind, registered int) (p *pair, stop func(), err error) {
	var stops []func()
	stop = func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	p = &pair{}
	var stopCluster func()
	if p.cluster, stopCluster, err = rig.Cluster(ctx, nil); err != nil {
		return nil, nil, err
	}
	stops = append(stops, stopCluster)
	if p.gated, err = on.start(ctx, setup{gated: true, registered: registered}); err != nil {
		return nil, nil, err
	}
	stops = append(stops, p.gated.Stop)
	if p.plain, err = on.start(ctx, setup{registered: registered}); err != nil {
		return nil, nil, err
	}
	stops = append(stops, p.plain.Stop)
	g, stopGate, err := rig.Bindgate(ctx, log, p.cluster, p.gated)
	if err != nil {
		return nil, nil, err
	}
	p.gate = g
	stops = append(stops, func() {
		if err := stopGate(); err != nil && !errors.Is(err, context.Canceled) {
			log.Error("bindgate", "error", err)
		}
	})
	return p, stop, nil
}
