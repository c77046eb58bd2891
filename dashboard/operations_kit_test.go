package dashboard_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/client"
)

// client is an app backend's, with every right.
func (k *kit) client() *client.Client {
	k.t.Helper()
	srv := httptest.NewServer(k.api)
	k.t.Cleanup(srv.Close)
	token, err := api.Mint(api.Secret("0123456789abcdef0123456789abcdef"), api.Claims{Subject: "backend", Scopes: []string{api.ScopeAdmin}})
	if err != nil {
		k.t.Fatal(err)
	}
	c, err := client.New(srv.URL, client.StaticToken(token), client.Config{})
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

// count returns the number that a query comes to.
func (k *kit) count(sql string) (n int) {
	k.t.Helper()
	if err := k.pool.QueryRow(k.t.Context(), sql).Scan(&n); err != nil {
		k.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// seedOperations puts a link, a webhook with a delivery, a kick of many accounts and entries of the audit on record, with hostile names wherever there can be one.
func seedOperations(k *kit) (hook, job string) {
	k.t.Helper()
	w, err := k.client().CreateWebhook(k.t.Context(), client.NewWebhook{URL: "https://app.example.org/" + url.PathEscape(hostile[0]), Description: hostile[0]})
	if err != nil {
		k.t.Fatal(err)
	}
	k.exec(`update webhooks set enabled = false, disabled_reason = $1, created_by = $2`, hostile[2], hostile[1])
	k.exec(`insert into webhook_deliveries (webhook, id, state, attempts, created_at, finished_at, attempted_at, status, answer, error, duration_ms) select id, -1, 'failed', 12, now(), now(), now(), 503, $1, $2, 17 from webhooks`,
		hostile[1], hostile[2])
	j, err := k.client().KickMany(k.t.Context(), client.BulkKickRequest{Filter: client.KickFilter{Resource: hostile[0], Platform: hostile[1]}, Reason: hostile[5]})
	if err != nil {
		k.t.Fatal(err)
	}
	state, err := json.Marshal(map[string]any{"up": false, "last_error": hostile[0], "domains": []map[string]any{{"domain": "example.org", "server": hostile[0], "server_version": hostile[2], "module": hostile[1],
		"abilities": []string{hostile[0]}, "missing": []string{hostile[2]}, "problem": hostile[1], "mode": "off", "on_failure": "deny", "last_hello_at": "2026-11-01T00:00:00Z"}}})
	if err != nil {
		k.t.Fatal(err)
	}
	k.exec(`insert into links (name, driver, component, owner_name, state) values ($1, 'gate', $2, $3, $4)`, hostile[0], hostile[1], hostile[2], state)
	k.exec(`insert into audit (at, via, actor, address, request_id, action, jid, domain, target, old, new, outcome) values (now(), 'api', $1, '', '', 'rule.put', '', '', $2, $3, $4, $3)`,
		hostile[2], hostile[0], must(json.Marshal(map[string]string{hostile[0]: hostile[1]})), must(json.Marshal(map[string]string{hostile[0]: hostile[2], hostile[2]: hostile[6]})))
	return w.ID, j.ID
}
