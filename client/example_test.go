package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/bindgate/bindgate/client"
)

// A backend has one client, and mints its own short-lived tokens with as few rights as it needs.
func Example() {
	token, err := client.HS256(secret, client.Claims{Subject: "shop", Scopes: []string{"sessions:read", "sessions:kick"}})
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(baseURL, token, client.Config{UserAgent: "shop/1.4"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for s, err := range c.ListAccountSessions(ctx, "ada@example.org", client.SessionFilter{Platform: "web"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.Resource, s.State)
	}
	report, err := c.Kick(ctx, "ada@example.org", client.KickRequest{Platform: "web", Reason: "password changed"})
	if err != nil {
		log.Fatal(err)
	}
	for _, k := range report.Results {
		fmt.Println(k.Resource, k.Outcome) // its XMPP server is away: it goes as soon as that is back
	}
	// Output:
	// web-chrome active
	// web-chrome pending
}

func admin() *client.Client {
	token, err := client.HS256(secret, client.Claims{Subject: "example", Scopes: []string{"admin"}})
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(baseURL, token, client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

func ExampleError() {
	c := admin()
	_, err := c.GetAccount(context.Background(), "nobody@example.org")
	fmt.Println(errors.Is(err, client.ErrNotFound))

	_, err = c.PutDomainRule(context.Background(), "example.org", client.Rule{MaxSessions: client.Set(0)}, client.RuleOptions{})
	var said *client.Error
	if errors.As(err, &said) {
		fmt.Println(said.Status, said.Code, said.Field)
	}
	// Output:
	// true
	// 422 invalid_field /max_sessions
}

// A rule is read, changed and put back without losing what somebody else has changed meanwhile.
func ExampleClient_PutDomainRule() {
	c, ctx := admin(), context.Background()
	first, err := c.PutDomainRule(ctx, "example.com", client.Rule{MaxSessions: client.Set(3), OnExcess: client.DenyNewcomer}, client.RuleOptions{IfNoneMatch: "*"})
	if err != nil {
		log.Fatal(err)
	}
	changed := first.Rule
	changed.MaxSessions = client.Null[int]() // no limit, whatever the default rule says
	changed.MaxPerPlatform = map[string]int{"mobile": 1}
	second, err := c.PutDomainRule(ctx, "example.com", changed, client.RuleOptions{IfMatch: first.ETag})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(second.Rule.OnExcess, second.Rule.MaxSessions.IsNull(), second.Rule.MaxPerPlatform)

	_, err = c.PutDomainRule(ctx, "example.com", client.Rule{}, client.RuleOptions{IfMatch: first.ETag})
	fmt.Println(errors.Is(err, client.ErrPreconditionFailed))
	// Output:
	// deny true map[mobile:1]
	// true
}

// A lowered limit is applied to who is logged in now, and waited for.
func ExampleClient_WaitBulkKick() {
	c := admin()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	changed, err := c.PutAccountRule(ctx, "bob@example.org", client.Rule{MaxSessions: client.Set(1)}, time.Time{}, client.RuleOptions{Apply: client.ApplyNow})
	if err != nil {
		log.Fatal(err)
	}
	done, err := c.WaitBulkKick(ctx, changed.KickID, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.State, done.Sessions.Kicked)
	// Output:
	// done 0
}

func ExampleClient_Verify() {
	v, err := admin().Verify(context.Background(), "ada@example.org", client.VerifyRequest{Resource: "android-7", Generation: 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Current, v.Reason)
	// Output:
	// true current
}

func ExampleClient_RegisterDevice() {
	c, ctx := admin(), context.Background()
	d, err := c.RegisterDevice(ctx, "ada@example.org", client.Registration{Resource: "phone/♥", Name: client.Set("Ada's phone"), Platform: client.Set("ios")})
	if err != nil {
		log.Fatal(err)
	}
	d, err = c.ChangeDevice(ctx, "ada@example.org", d.ID, client.DeviceChange{Name: client.Null[string](), Blocked: client.Set(true)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q %s %q blocked: %t\n", d.Resource, d.Platform, d.Name, d.Blocked)
	// Output:
	// "phone/♥" ios "" blocked: true
}

func ExampleClient_Evaluate() {
	d, err := admin().Evaluate(context.Background(), client.EvaluateRequest{Account: "carol@example.org", Resource: "tablet"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Outcome, d.Code)
	// Output:
	// allow ok
}

// What is kept about a person, for whoever asks for it.
func ExampleClient_ExportAccount() {
	c, ctx := admin(), context.Background()
	if _, err := c.PutAccountGroup(ctx, "dave@example.org", "staff"); err != nil {
		log.Fatal(err)
	}
	var export bytes.Buffer
	if err := c.ExportAccount(ctx, "dave@example.org", &export); err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Contains(export.String(), `"staff"`))

	if _, err := c.EraseAccount(ctx, "dave@example.org"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// true
}

// A program that follows all events remembers how far it has come, and goes on there.
func ExampleClient_Events() {
	var c *client.Client // of New
	var read func() string
	var write func(position string)

	ctx := context.Background()
	for e, err := range c.Events(ctx, client.EventOptions{After: read(), Types: []client.EventType{client.EventTakeover}}) {
		if errors.Is(err, client.ErrEventsGone) {
			log.Fatal("away for longer than events are kept: read everything anew")
		}
		if err != nil {
			log.Fatal(err)
		}
		data, err := e.Parse()
		if err != nil {
			log.Fatal(err)
		}
		if takeover, ok := data.(*client.TakeoverEvent); ok {
			log.Printf("%s: %s has displaced %s", e.Account, takeover.Winner.Platform, takeover.Loser.Platform)
		}
		write(e.ID)
	}
}

func ExampleWebhookHandler() {
	var seen func(delivery string) bool // it may come more than once

	h, err := client.WebhookHandler([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, func(_ context.Context, d client.Delivery) error {
		if seen(d.ID) {
			return nil
		}
		log.Print(d.Event.Type, " ", d.Event.Account)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/bindgate", h)
}

func ExampleNew() {
	if err := signOut(context.Background(), secret, "alice@example.org"); err != nil {
		log.Print(err)
	}
}

// signOut ends an account's web sessions.
func signOut(ctx context.Context, secret []byte, account string) error {
	token, err := client.HS256(secret, client.Claims{Subject: "shop", Scopes: []string{"sessions:kick"}}) // short-lived ones, as needed
	if err != nil {
		return err
	}
	c, err := client.New("http://127.0.0.1:8080", token, client.Config{})
	if err != nil {
		return err
	}
	if _, err = c.Kick(ctx, account, client.KickRequest{Platform: "web", Reason: "password changed"}); errors.Is(err, client.ErrNotFound) {
		return nil // nobody has ever logged in
	}
	return err
}
