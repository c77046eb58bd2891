package xmppclient_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Registered accounts log in by the strongest mechanism, and a wrong password is told from all else.
func TestStrongLogin(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{WithoutGate: true, Global: `authentication = "internal_hashed"`})
	if _, err := s.Eval(t.Context(), fmt.Sprintf(`assert(require"core.usermanager".create_user("ada", "secret", %q))`, s.Domain())); err != nil {
		t.Fatal(err)
	}
	o := xmppclient.Options{Addr: s.C2S, Domain: s.Domain(), User: "ada", Password: "secret", Strong: true}
	c, err := xmppclient.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Bind(t.Context(), "phone"); err != nil {
		t.Error(err)
	}
	o.Password = "other"
	if c, err := xmppclient.Dial(t.Context(), o); !errors.Is(err, xmppclient.ErrNotAuthorized) {
		t.Errorf("with a wrong password: %v, %v", c, err)
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.Domain()}
	if _, err := xmppclient.Dial(t.Context(), o); err == nil || !strings.Contains(err.Error(), "does not offer STARTTLS") {
		t.Errorf("where there is no TLS: %v", err)
	}
}
