package servers

import (
	"cmp"
	"slices"
	"testing"

	"github.com/bindgate/bindgate/internal/prosody"
)

// What a server cannot that has no module of ours, and is administered by ad-hoc commands.
const (
	StreamError = "end a session with a stream error"
	Conflict    = "end a session with <conflict/>"
	KickText    = "tell a client why its session is ended"
	Hold        = "have a login wait for its decision"
	Presence    = "tell a component at once who comes and goes"
)

const noModule = "there is no module that could ask: a login is decided just after its bind, and a denial is a kick"

// stock are servers without our module whose administrator the component may be. They are kinds of their own, as columns of the matrix.
var stock = []*Kind{
	{
		Name: "stock-prosody", Software: "Prosody",
		start: func(k *Kind, t testing.TB, o Options) Server {
			cfg := prosody.Config{WithoutGate: true, Modules: []string{"admin_adhoc"}}
			if o.Domain != "" {
				cfg.Domains = []string{o.Domain}
			}
			if o.Administered {
				cfg.Global = "admins = { \"bindgate." + cmp.Or(o.Domain, "localhost") + "\" }"
			}
			return &onProsody{prosody.ForTest(t, cfg), k}
		},
		cannot: map[string]string{
			StreamError: "Prosody's end-user-session ends the stream without any",
			Conflict:    "Prosody's end-user-session ends the stream without any stream error",
			KickText:    "Prosody's end-user-session takes no reason",
			Hold:        noModule,
			Presence:    "it needs XEP-0356, which is a community module",
		},
	},
	{
		Name: "stock-ejabberd", Software: "ejabberd",
		start: func(k *Kind, t testing.TB, o Options) Server {
			s := ejabberds[0].start(ejabberds[0], t, o).(*onEjabberd)
			s.kind = k
			return s
		},
		cannot: map[string]string{
			Conflict: "ejabberd's end-user-session says <policy-violation/>; by its HTTP API (driver ejabberd) it can",
			KickText: "ejabberd's end-user-session takes no reason; by its HTTP API (driver ejabberd) it can",
			Hold:     noModule,
		},
	},
}

// IsStock reports whether a kind, by its name, is a server without our module.
func IsStock(name string) bool {
	return slices.ContainsFunc(stock, func(k *Kind) bool { return k.Name == name })
}

// EachStock runs a test on every stock server that is wanted, in parallel.
func EachStock(t *testing.T, test func(t *testing.T, on *Kind)) { each(t, stock, (*Kind).stable, test) }
