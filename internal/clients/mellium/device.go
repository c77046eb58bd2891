// Package mellium is mellium.im/xmpp as a test client, and what docs/clients.md shows of it.
package mellium

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Device keeps one installation signed in, and gives way when another device takes over.
type Device struct {
	Addr  jid.JID // with the resource of this installation
	Lang  string
	Token string // of a grant, or of the session that the user chose to sign out
	Dial  func(context.Context) (net.Conn, error)
	Login []xmpp.StreamFeature // what comes before the bind: xmpp.StartTLS, xmpp.SASL
	App   App

	delay time.Duration // before the next attempt
}

// App is what the user sees.
type App interface {
	Online(jid.JID)
	SignedOut(*Ended)
	Denied(*Denial)
	Choose([]Choice) Choice
}

// Ended is the stream error of a session that had to go.
type Ended struct {
	Conflict *struct{} `xml:"urn:ietf:params:xml:ns:xmpp-streams conflict"`
	Text     struct {
		Value string `xml:",chardata"`
		Lang  string `xml:"lang,attr"`
	} `xml:"urn:ietf:params:xml:ns:xmpp-streams text"`
	Why struct {
		Code     string `xml:"code,attr"`
		Device   string `xml:"device,attr"`
		Platform string `xml:"platform,attr"`
		At       string `xml:"at,attr"`
	} `xml:"urn:bindgate:1 ended"`
}

// Denial is the error of a bind.
type Denial struct {
	Text string `xml:"urn:ietf:params:xml:ns:xmpp-stanzas text"`
	Why  struct {
		Code       string   `xml:"code,attr"`
		RetryAfter string   `xml:"retry_after,attr"`
		Sessions   []Choice `xml:"session"`
	} `xml:"urn:bindgate:1 denied"`
}

// passes is whether nobody could decide, so that another attempt may do.
func (d *Denial) passes() bool { return d.Why.Code == "" || d.Why.Code == "unavailable" }

func (d *Denial) Error() string { return "bind denied: " + d.Why.Code }

// Choice is a session in the way, which the user may choose to sign out.
type Choice struct {
	Token    string `xml:"token,attr"`
	Device   string `xml:"device,attr"`
	Resource string `xml:"resource,attr"`
	Platform string `xml:"platform,attr"`
}

// Run returns when another device has taken over, when the bind is denied, or with ctx. After anything else it signs in again, later each time.
func (d *Device) Run(ctx context.Context) {
	d.delay = time.Second
	for ctx.Err() == nil {
		ended, err := d.stream(ctx)
		var denial *Denial
		switch {
		case ended != nil && ended.Conflict != nil:
			d.App.SignedOut(ended)
			return
		case errors.As(err, &denial) && !denial.passes():
			d.App.Denied(denial)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(d.delay):
		}
		d.delay = min(2*d.delay, time.Minute)
	}
}

// stream is the life of one stream. A stream error is read from what came in last: mellium's own has no place for <ended/>.
func (d *Device) stream(ctx context.Context) (*Ended, error) {
	conn, err := d.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var in tail
	session, err := xmpp.NewSession(ctx, d.Addr.Domain(), d.Addr, conn, 0, xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Lang: d.Lang, TeeIn: &in, Features: append(slices.Clone(d.Login), d.bind())}
	}))
	if err == nil {
		d.delay = time.Second
		d.App.Online(session.LocalAddr())
		err = session.Serve(nil)
	}
	return in.ended(), err
}

// bind is xmpp.BindResource, but it asks for the resource, where that of v0.22.0 sends an empty one, and can bring a token.
func (d *Device) bind() xmpp.StreamFeature {
	feature := xmpp.BindResource()
	feature.Negotiate = func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
		r, w := s.TokenReader(), s.TokenWriter()
		defer r.Close()
		defer w.Close()
		in := xml.NewTokenDecoder(r)
		for {
			if _, err := xmlstream.Copy(w, d.request()); err != nil {
				return 0, nil, err
			}
			if err := w.Flush(); err != nil {
				return 0, nil, err
			}
			var answer struct {
				JID   jid.JID `xml:"bind>jid"`
				Error *Denial `xml:"error"`
			}
			if err := in.Decode(&answer); err != nil {
				return 0, nil, err
			}
			switch {
			case answer.Error == nil:
				s.UpdateAddr(answer.JID)
				return xmpp.Ready, nil, nil
			case answer.Error.Why.Code != "choose":
				return 0, nil, answer.Error
			}
			d.Token = d.App.Choose(answer.Error.Why.Sessions).Token // and again, on the same stream
		}
	}
	return feature
}

func (d *Device) request() xml.TokenReader {
	resource := xmlstream.Wrap(xmlstream.Token(xml.CharData(d.Addr.Resourcepart())), xml.StartElement{Name: xml.Name{Local: "resource"}})
	var takeover xml.TokenReader
	if d.Token != "" {
		takeover = xmlstream.Wrap(nil, xml.StartElement{
			Name: xml.Name{Space: "urn:bindgate:1", Local: "takeover"},
			Attr: []xml.Attr{{Name: xml.Name{Local: "token"}, Value: d.Token}},
		})
	}
	return stanza.IQ{ID: "bind", Type: stanza.SetIQ}.Wrap(xmlstream.Wrap(
		xmlstream.MultiReader(resource, takeover), xml.StartElement{Name: xml.Name{Space: "urn:ietf:params:xml:ns:xmpp-bind", Local: "bind"}}))
}

// tail keeps the end of what came in.
type tail struct{ last []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-8<<10):]
	return len(b), nil
}

// ended is the stream error at the end, if there is one.
func (t *tail) ended() *Ended {
	i := bytes.LastIndex(t.last, []byte("<stream:error"))
	if i < 0 {
		return nil
	}
	var e Ended
	if err := xml.NewDecoder(bytes.NewReader(t.last[i:])).Decode(&e); err != nil {
		return nil
	}
	return &e
}
