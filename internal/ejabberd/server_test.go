package ejabberd_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Whoever comes is let in, and the API tells of it.
func TestServer(t *testing.T) {
	t.Parallel()
	s, err := ejabberd.Start(t.Context(), ejabberd.Config{})
	if errors.Is(err, ejabberd.ErrMissing) && os.Getenv("CI") == "" {
		t.Skipf("needs an ejabberd: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for _, resource := range []string{"phone", "web"} {
		c, err := xmppclient.Dial(t.Context(), xmppclient.Options{Addr: s.C2S, Domain: s.Domain(), User: "ada"})
		if err != nil {
			t.Fatalf("%v\n%s", err, s.Log())
		}
		defer c.Close()
		if _, err := c.Bind(t.Context(), resource); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Call(t.Context(), "user_sessions_info", `{"user":"ada","host":"localhost"}`)
	if err != nil || !strings.Contains(got, `"phone"`) || !strings.Contains(got, `"web"`) {
		t.Errorf("%s, %v", got, err)
	}
}
