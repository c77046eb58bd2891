package servers

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/prosody"
)

// prosodies are the installed Prosody, or the one that BINDGATE_TEST_PROSODY names, and the newer one that deploy/setup.sh --tests unpacks beside it. They start
// in a fraction of a second: each test has its own.
var prosodies = []*Kind{prosodyOf("prosody", "", prosody.Config{}, nil), prosodyOf("prosody-13.0", prosody.Backport, prosody.Config{}, nil)}

// EachProsody is EachVersion for tests of Prosody's module alone.
func EachProsody(t *testing.T, test func(t *testing.T, on *Kind)) { each(t, prosodies, every, test) }

// Prosody is a kind of its own: on, a Prosody, set up as a test of Prosody alone needs it. Where it is started, server is set.
func Prosody(on *Kind, cfg prosody.Config, server **prosody.Server) *Kind {
	return prosodyOf(on.Name, on.binary, cfg, server)
}

func prosodyOf(name, binary string, cfg prosody.Config, server **prosody.Server) *Kind {
	cannot := map[string]string{}
	if binary == "" {
		cannot[SASL2] = "there are modules of others for it, for 13.0 and newer"
	}
	return &Kind{Name: name, Software: "Prosody", newer: binary != "", binary: binary, cannot: cannot, start: func(k *Kind, t testing.TB, o Options) Server {
		cfg := cfg
		cfg.Binary, cfg.Timeout, cfg.OnFailure = binary, o.Timeout, o.OnFailure
		if o.Quiet {
			cfg.LogLevel = "warn"
		}
		if o.Domain != "" {
			cfg.Domains = []string{o.Domain}
		}
		if o.Twin {
			domain := cmp.Or(o.Domain, "localhost")
			cfg.Domains, cfg.Component = []string{domain, "other." + domain}, "bindgate."+domain
			if o.TwinBare {
				cfg.Bare = []string{"other." + domain}
			}
		}
		if o.Unbound > 0 {
			cfg.Host += fmt.Sprintf("bindgate_unbound_timeout = %g", o.Unbound.Seconds())
		}
		if o.Stranger {
			cfg.Components = []string{"stranger." + cmp.Or(o.Domain, "localhost")}
		}
		if o.QuickBOSH {
			cfg.Global += "bosh_max_inactivity = 1; bosh_max_wait = 1"
		}
		if o.Late {
			cfg.Modules = append(slices.Clone(cfg.Modules), "kit_late")
		}
		if o.SASL2 {
			cfg.Modules = append(slices.Clone(cfg.Modules), "sasl2", "sasl2_bind2")
		}
		s := prosody.ForTest(t, cfg)
		if server != nil {
			*server = s
		}
		return &onProsody{s, k}
	}}
}

type onProsody struct {
	*prosody.Server
	kind *Kind
}

func (s *onProsody) Kind() *Kind  { return s.kind }
func (s *onProsody) Twin() string { return "other." + s.Domain() }

func (s *onProsody) Errors() string {
	var errs strings.Builder
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, "Traceback") || strings.Contains(line, "failed:") {
			errs.WriteString(line)
		}
	}
	return errs.String()
}

func (s *onProsody) End(ctx context.Context, user string) error {
	_, err := s.Eval(ctx, fmt.Sprintf(`for _, s in pairs(prosody.hosts[%q].sessions[%q].sessions) do s:close{ condition = "policy-violation" } end`, s.Domain(), user))
	return err
}

// Close closes a user's streams without an error, which no ejabberd does.
func (s *onProsody) Close(ctx context.Context, user string) error {
	_, err := s.Eval(ctx, fmt.Sprintf(`for _, s in pairs(prosody.hosts[%q].sessions[%q].sessions) do s:close() end`, s.Domain(), user))
	return err
}

func (s *onProsody) Reload(ctx context.Context) error {
	return s.Server.Reload(ctx, s.Domain(), "bindgate")
}

func (s *onProsody) Unload(ctx context.Context) error {
	return s.Server.Unload(ctx, s.Domain(), "bindgate")
}

func (s *onProsody) Load(ctx context.Context) error {
	return s.Server.Load(ctx, s.Domain(), "bindgate")
}

func (s *onProsody) Held(ctx context.Context) (string, error) {
	return s.Eval(ctx, fmt.Sprintf(`return prosody.hosts[%q].events.fire_event("late-held")`, s.Domain()))
}

func (s *onProsody) Go(ctx context.Context) error {
	_, err := s.Eval(ctx, fmt.Sprintf(`prosody.hosts[%q].events.fire_event("late-go")`, s.Domain()))
	return err
}

func (s *onProsody) Sessions(ctx context.Context) ([]Session, error) {
	text, err := s.Eval(ctx, fmt.Sprintf(`local r = {}
		for name, u in pairs(prosody.hosts[%q].sessions) do for k, s in pairs(u.sessions) do
			r[#r+1] = name.."\t"..k.."\t"..(s.bindgate and s.bindgate.sid or "?")
		end end
		return table.concat(r, "\n")`, s.Domain()))
	if err != nil {
		return nil, err
	}
	return lines(text)
}

func (s *onProsody) modeFile() string {
	return filepath.Join(s.Dir(), "data", s.Domain(), "bindgate.dat")
}

func (s *onProsody) Mode() (string, error) {
	text, err := os.ReadFile(s.modeFile())
	if os.IsNotExist(err) {
		return "enforce", nil
	}
	for _, mode := range []string{"observe", "off"} {
		if strings.Contains(string(text), `"`+mode+`"`) {
			return mode, err
		}
	}
	return "enforce", err
}

func (s *onProsody) SetMode(mode string) error {
	if _, err := os.Stat(s.modeFile()); err != nil {
		return err
	}
	return os.WriteFile(s.modeFile(), fmt.Appendf(nil, "return { [%q] = %q; };", "mode", mode), 0o644)
}
