package xmppclient

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"mellium.im/sasl"
)

// ErrNotAuthorized: the server does not take the name with the password.
var ErrNotAuthorized = errors.New("the server does not take the name with this password")

func (o Options) directTLS() *tls.Config {
	if o.DirectTLS {
		return o.TLS
	}
	return nil
}

// startTLS encrypts the stream (RFC 6120 §5) and returns the features of the new one.
func (c *Client) startTLS(ctx context.Context, features *Element) (*Element, error) {
	t, ok := c.t.(*tcp)
	if !ok || features.Child(nsTLS, "starttls") == nil {
		return nil, errors.New("the server does not offer STARTTLS here")
	}
	if err := c.t.write("<starttls xmlns='" + nsTLS + "'/>"); err != nil {
		return nil, err
	}
	answer, err := c.t.read()
	if err != nil {
		return nil, err
	}
	if answer.Name.Local != "proceed" {
		return nil, fmt.Errorf("STARTTLS was refused: %s", answer.Raw)
	}
	secure := tls.Client(t.conn, c.opts.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	t.conn = secure
	return c.reopen(ctx)
}

// strong are the mechanisms of Options.Strong, the strongest first. None of them takes part in TLS, which not every server's TLS could.
var strong = []sasl.Mechanism{sasl.ScramSha256, sasl.ScramSha1, sasl.Plain}

// authenticate proves who the client is (RFC 6120 §6).
func (c *Client) authenticate(features *Element) error {
	mechanism := sasl.Plain
	if c.opts.Strong {
		var offered []string
		if list := features.Child(nsSASL, "mechanisms"); list != nil {
			for _, m := range list.Children {
				offered = append(offered, m.Text)
			}
		}
		i := slices.IndexFunc(strong, func(m sasl.Mechanism) bool { return slices.Contains(offered, m.Name) })
		if i < 0 {
			return fmt.Errorf("the server offers none of SCRAM-SHA-256, SCRAM-SHA-1 and PLAIN here, but %q: %s", offered, features.Raw)
		}
		mechanism = strong[i]
	}
	n := sasl.NewClient(mechanism, sasl.Credentials(func() (user, password, identity []byte) { return []byte(c.opts.User), []byte(c.opts.Password), nil }))
	more, response, err := n.Step(nil)
	if err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	if err := c.t.write("<auth xmlns='" + nsSASL + "' mechanism='" + mechanism.Name + "'>" + base64.StdEncoding.EncodeToString(response) + "</auth>"); err != nil {
		return err
	}
	for {
		answer, err := c.t.read()
		if err != nil {
			return err
		}
		switch answer.Name.Local {
		case "failure":
			if answer.Child("", "not-authorized") != nil {
				return fmt.Errorf("authentication failed: %w", ErrNotAuthorized)
			}
			return fmt.Errorf("authentication failed: %s", answer.Raw)
		case "challenge", "success":
		default:
			return fmt.Errorf("authentication: expected an answer, got %s", answer.Raw)
		}
		if more { // the server's last word proves who it is
			challenge, err := base64.StdEncoding.DecodeString(answer.Text)
			if err != nil {
				return fmt.Errorf("authentication: %w", err)
			}
			if more, response, err = n.Step(challenge); err != nil {
				return fmt.Errorf("authentication: %w", err)
			}
		}
		if answer.Name.Local == "success" {
			if more {
				return errors.New("authentication: the server let us in before it proved who it is")
			}
			return nil
		}
		if err := c.t.write("<response xmlns='" + nsSASL + "'>" + base64.StdEncoding.EncodeToString(response) + "</response>"); err != nil {
			return err
		}
	}
}
