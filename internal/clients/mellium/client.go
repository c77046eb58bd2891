package mellium

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

// Run is the program: see the package comment of internal/clients. It returns when all logins are over, at the latest with ctx.
func Run(ctx context.Context, args []string, out io.Writer) error {
	addr, domain := net.JoinHostPort(args[0], args[1]), args[4]
	var mu sync.Mutex
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, login := range args[5:] {
		l := strings.Split(login, "/")
		who, err := jid.New(l[0], domain, l[1])
		if err != nil {
			return err
		}
		password := xmpp.SASL("", "pw", sasl.Plain)
		password.Necessary = 0 // without TLS, which the test's server has not
		r := &run{
			Device: Device{Addr: who, Login: []xmpp.StreamFeature{password}, Lang: l[2], Token: l[4], Dial: func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			}},
			say: func(what string, more map[string]string) {
				all := map[string]string{"what": what, "user": l[0]}
				maps.Copy(all, more)
				line, _ := json.Marshal(all) // texts only
				mu.Lock()
				defer mu.Unlock()
				_, _ = out.Write(append(line, '\n'))
			},
		}
		r.App = r
		wg.Go(func() {
			if l[3] == "polite" {
				r.Run(ctx)
			} else {
				r.once(ctx)
			}
		})
	}
	return nil
}

// run is a login whose user is told things, and chooses the first session.
type run struct {
	Device
	say func(what string, more map[string]string)
}

func (r *run) Online(addr jid.JID) { r.say("online", map[string]string{"jid": addr.String()}) }

func (r *run) SignedOut(e *Ended) {
	r.say("told", map[string]string{"text": e.Text.Value, "code": e.Why.Code, "platform": e.Why.Platform})
}

func (r *run) Denied(d *Denial) { r.say("told", map[string]string{"text": d.Text, "code": d.Why.Code}) }

func (r *run) Choose(sessions []Choice) Choice {
	var names []string
	for _, s := range sessions {
		names = append(names, s.Resource)
	}
	r.say("asked", map[string]string{"resources": strings.Join(names, " ")})
	return sessions[0]
}

// once is mellium as it is: it has no reconnecting of its own.
func (r *run) once(ctx context.Context) {
	conn, err := r.Dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	session, err := xmpp.NewSession(ctx, r.Addr.Domain(), r.Addr, conn, 0, xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Lang: r.Lang, Features: append(slices.Clone(r.Login), xmpp.BindResource())}
	}))
	var denial *stanza.Error
	if errors.As(err, &denial) {
		r.say("denied", map[string]string{"condition": string(denial.Condition), "type": string(denial.Type), "text": denial.Text[r.Lang]})
		<-ctx.Done() // the stream is still open
		return
	}
	if err == nil {
		r.Online(session.LocalAddr())
		err = session.Serve(nil)
	}
	var ended stream.Error
	if errors.As(err, &ended) {
		more := map[string]string{"condition": ended.Err}
		if len(ended.Text) > 0 {
			more["text"], more["lang"] = ended.Text[0].Value, ended.Text[0].Lang
		}
		r.say("ended", more)
	} else if err != nil {
		r.say("broken", map[string]string{"error": err.Error()})
	}
	r.say("closed", nil)
}
