package prosody_test

import (
	"testing"

	"github.com/bindgate/bindgate/internal/prosody"
)

func TestServerLives(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{Domains: []string{"localhost", "other.localhost"}})
	n, err := s.Sessions(t.Context(), "localhost")
	if err != nil || n != 0 {
		t.Fatalf("sessions: %d, %v", n, err)
	}
	if err := s.Reload(t.Context(), "localhost", "bindgate"); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Eval(t.Context(), "error('no')"); err == nil {
		t.Fatal("an error in Lua must come back")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
