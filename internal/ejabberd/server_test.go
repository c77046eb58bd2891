package ejabberd_test

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Whoever comes is let in, and the API tells of it.
func TestServer(t *testing.T) {
	t.Parallel()
	s := ejabberd.ForTest(t, ejabberd.Config{})
	if err := s.AddHost(t.Context(), ejabberd.Host{Domain: "other.test"}); err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{"localhost", "other.test"} {
		for _, resource := range []string{"phone", "web"} {
			c, err := xmppclient.Dial(t.Context(), xmppclient.Options{Addr: s.C2S, Domain: domain, User: "ada"})
			if err != nil {
				t.Fatalf("%v\n%s", err, s.Log())
			}
			defer c.Close()
			if _, err := c.Bind(t.Context(), resource); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Call(t.Context(), "user_sessions_info", `{"user":"ada","host":"`+domain+`"}`)
		if err != nil || !strings.Contains(got, `"phone"`) || !strings.Contains(got, `"web"`) {
			t.Errorf("%s, %v", got, err)
		}
	}
	if got, err := s.Eval(t.Context(), "erlang:length([1, 2])"); err != nil || got != "2" {
		t.Errorf("eval: %q, %v", got, err)
	}
}
