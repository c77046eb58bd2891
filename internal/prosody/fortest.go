package prosody

import (
	"errors"
	"os"
	"testing"
)

// ForTest starts a server for one test and stops it when the test ends; a failed test shows the server's log. Where
// Prosody is not installed the test is skipped, but fails when the environment variable CI is set. BINDGATE_TEST_PROSODY
// names another server program than the installed one, of another version for example.
func ForTest(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Binary == "" {
		cfg.Binary = os.Getenv("BINDGATE_TEST_PROSODY")
	}
	s, err := Start(t.Context(), cfg)
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
		t.Skipf("needs a Prosody: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("prosody's log:\n%s", s.Log())
		}
		s.Stop()
	})
	return s
}
