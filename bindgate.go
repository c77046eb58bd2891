// Package bindgate is the map of the repository and holds the REST contract.
//
// bindgate decides which of an account's devices may be logged in to an XMPP server, right now, and makes it so. The server's
// gate module asks it before each bind; it answers by the operator's rules, in one durable transaction, and the server sends
// <conflict/> to whoever has to go.
//
// A fact travels one way:
//
//	wire → typed request → facts from the store → pure decision → one transaction (state, decision, events) → answer
//
// The packages, outermost first; each imports only what stands below it, and adapters never import each other:
//
//	cmd/bindgate   the commands: serve (all wiring), migrate, demo, doctor, token, user
//	api            REST under /v1: routes, authorization, errors; its reference page (docs)
//	dashboard      pages for operators; what they read and do goes through the REST API, in this process
//	xmppbridge     the component connection (XEP-0114) and the gate protocol (PROTOCOL.md); prosody/ and ejabberd/ have the servers' modules, stock/ works servers without one
//	gate           the use cases: admit, follow events, kick and prove it, reconcile; the feed of the event log
//	store          the record in PostgreSQL; whoever changes an account holds its row lock
//	rules          the decision: a pure function of facts
//	migrations     the record's schema
//	client         the Go client that app backends import; it imports nothing of this repository
//	internal       webhooks (webhook, target), the keys of tokens (keyring), who may use the dashboard (people, signon), proxies (proxy), a private PostgreSQL (pg), Prosody and ejabberd (servers: any of them), test kits, benchmarks, trials
package bindgate

import _ "embed" // the contract

// OpenAPI is openapi.yaml, the contract of the REST API (OpenAPI 3.1).
//
//go:embed openapi.yaml
var OpenAPI []byte
