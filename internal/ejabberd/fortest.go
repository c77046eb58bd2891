package ejabberd

import (
	"errors"
	"os"
	"testing"
)

// ForTest starts a server for one test and stops it when the test ends; a failed test shows the server's log. Where
// ejabberd is not installed the test is skipped, but fails when the environment variable CI is set.
func ForTest(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
		t.Skipf("needs an ejabberd: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("ejabberd's log:\n%s", s.Log())
		}
		s.Stop()
	})
	return s
}
