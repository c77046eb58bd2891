// Package client is what an app backend imports to use bindgate: who is logged in, who has to go, what is allowed, and what happens.
//
//	token, err := client.HS256(secret, client.Claims{Subject: "shop", Scopes: []string{"sessions:kick"}})
//	c, err := client.New("https://bindgate.example.org", token, client.Config{})
//	report, err := c.Kick(ctx, "ada@example.org", client.KickRequest{All: true, Reason: "password changed"})
//
// A method is named for its operation in openapi.yaml, which says more of each. The package needs the standard library alone, keeps nothing outside of a
// Client, and goes with bindgates that are newer than it: fields and values that it does not know are no errors. What is null in an answer is the zero value
// here: "" or a time for which IsZero holds; where zero means something else the field is a pointer. JIDs are given as they are and escaped by the client.
//
// # Errors and retries
//
// An answer that says no is an *Error; errors.Is finds ErrNotFound and its like in it. A call whose connection is lost or whose answer is 408, 429, 502, 503 or
// 504 is made again, up to Config.Attempts times, after a random wait that grows, or after the one that the server asks for (Retry-After). Each change
// has an idempotency key that its attempts share, so that it is made once; WithIdempotencyKey lets it outlive the process. The context bounds the whole
// call: a wait that would be longer than that is not begun.
//
// # Lists
//
// A list is an iterator that reads pages as far as it is ranged over:
//
//	for s, err := range c.ListSessions(ctx, client.SessionFilter{Platform: "web"}) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// # Events
//
// Client.Events follows the event log over any number of connections, each event once and in order. WebhookHandler and VerifyWebhook are for events that come
// to a URL of the backend; those come at least once.
package client
