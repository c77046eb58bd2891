package client_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/bindgate/bindgate/client"
)

// loser is a network that loses the first answer of each call, when the server has done what it was asked.
type loser struct{ lost, replayed int }

func (l *loser) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.Header.Get("Idempotency-Replayed") != "" {
		l.replayed++
		return resp, nil
	}
	l.lost++
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return nil, errors.New("the answer is lost")
}

// A change whose answer was lost is made once by a real bindgate, also one that cannot be made twice, and its caller gets the answer.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	needsBindgate(t)
	token, err := client.HS256(secret, client.Claims{Subject: "lost", Scopes: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	l := &loser{}
	c, err := client.New(baseURL, token, client.Config{HTTPClient: &http.Client{Transport: l}})
	if err != nil {
		t.Fatal(err)
	}
	put, err := c.PutDomainRule(t.Context(), "lost.example", client.Rule{MaxSessions: client.Set(2)}, client.RuleOptions{IfNoneMatch: "*"})
	if err != nil || put.ETag == "" || put.Rule.MaxSessions.Or(0) != 2 {
		t.Errorf("put: %+v, %v", put, err)
	}
	if _, err := c.DeleteDomainRule(t.Context(), "lost.example", client.RuleOptions{IfMatch: put.ETag}); err != nil {
		t.Errorf("delete: %v", err)
	}
	if g, err := c.CreateGrant(t.Context(), "lost@example.org", client.GrantRequest{}); err != nil || g.Token == "" {
		t.Errorf("grant: %v, %v", g, err)
	}
	if l.lost != 3 || l.replayed != 3 {
		t.Errorf("%d answers were lost and %d given again, want 3 of each", l.lost, l.replayed)
	}
}
