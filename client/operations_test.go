package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/bindgate/bindgate/client"
)

// notForBackends are operations that the client leaves out.
var notForBackends = map[string]string{
	"getMetrics": "Prometheus reads it",
	"getOpenAPI": "for people and generators",
	"getDocs":    "for people and their browsers",
}

const (
	ada     = "ada♥%25?#@example.org"
	ses     = "ses_szg0vqj6xya2c0fznywy50jyg000000000000a8"
	dev     = "dev_szg0vqj6xya2c0fznywy50jyg012ab3cd4ef5gh"
	kick    = "kick_00000000000000000000000000000000000000a"
	hook    = "wh_0000000000001"
	aGroup  = ".."
	aDomain = "bücher.example"
)

var (
	pages   = client.ListOptions{PageSize: 7}
	wide    = client.Rule{MaxSessions: client.Null[int](), Exclusive: [][]string{{"ios", "android"}}, Exempt: []client.Matcher{{Resource: "bot-*", TrustClientClaims: true}}}
	guarded = client.RuleOptions{Apply: client.ApplyNow, IfMatch: `"12"`}
)

// operations call each operation of the contract by the method for it. They return what is to be like the answer's body, nil if that has none.
var operations = map[string]func(context.Context, *client.Client) (any, error){
	"listSessions": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListSessions(ctx, client.SessionFilter{Domain: "example.org", Account: ada, Platform: "ios", State: client.StateActive, Search: "a b&c", ListOptions: pages}))
	},
	"getSession":  func(ctx context.Context, c *client.Client) (any, error) { return c.GetSession(ctx, ses) },
	"kickSession": func(ctx context.Context, c *client.Client) (any, error) { return c.KickSession(ctx, ses) },
	"lookupSessions": func(ctx context.Context, c *client.Client) (any, error) {
		return list(c.LookupSessions(ctx, ada, "bob@example.org"))
	},
	"getAccount":    func(ctx context.Context, c *client.Client) (any, error) { return c.GetAccount(ctx, ada) },
	"changeAccount": func(ctx context.Context, c *client.Client) (any, error) { return c.ChangeAccount(ctx, ada, "ja") },
	"eraseAccount":  func(ctx context.Context, c *client.Client) (any, error) { return c.EraseAccount(ctx, ada) },
	"exportAccount": func(ctx context.Context, c *client.Client) (any, error) {
		var b bytes.Buffer
		err := c.ExportAccount(ctx, ada, &b)
		return json.RawMessage(b.Bytes()), err
	},
	"listAccountSessions": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListAccountSessions(ctx, ada, client.SessionFilter{State: client.StateEnded, ListOptions: pages}))
	},
	"listDecisions": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListDecisions(ctx, ada, pages))
	},
	"listAllDecisions": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListAllDecisions(ctx, client.DecisionFilter{
			Domain: "example.org", Outcome: "deny", Code: "cooldown", Platform: "ios", Since: time.Unix(1, 5), Until: time.Now(), ListOptions: pages,
		}))
	},
	"listDevices": func(ctx context.Context, c *client.Client) (any, error) { return items(c.ListDevices(ctx, ada, pages)) },
	"registerDevice": func(ctx context.Context, c *client.Client) (any, error) {
		return c.RegisterDevice(ctx, ada, client.Registration{Resource: "phone", Name: client.Set("Ada's phone"), Platform: client.Null[string]()})
	},
	"getDevice": func(ctx context.Context, c *client.Client) (any, error) { return c.GetDevice(ctx, ada, dev) },
	"changeDevice": func(ctx context.Context, c *client.Client) (any, error) {
		return c.ChangeDevice(ctx, ada, dev, client.DeviceChange{Name: client.Null[string](), Blocked: client.Set(false)})
	},
	"forgetDevice": func(ctx context.Context, c *client.Client) (any, error) { return nil, c.ForgetDevice(ctx, ada, dev) },
	"kick": func(ctx context.Context, c *client.Client) (any, error) {
		revision := int64(0)
		return c.Kick(ctx, ada, client.KickRequest{
			DeviceIDs: []string{dev}, Reason: "lost", Text: map[string]string{"en": "Bye."}, Cooldown: 60, BlockDevices: true, RevokeCredentials: true, IfRevision: &revision,
		})
	},
	"verify": func(ctx context.Context, c *client.Client) (any, error) {
		return c.Verify(ctx, ada, client.VerifyRequest{Resource: "phone", Generation: 41})
	},
	"createGrant": func(ctx context.Context, c *client.Client) (any, error) {
		return c.CreateGrant(ctx, ada, client.GrantRequest{DeviceID: dev, Resource: "phone", TTL: client.SecondsOf(time.Minute)})
	},
	"getProtection":     func(ctx context.Context, c *client.Client) (any, error) { return c.GetProtection(ctx, ada) },
	"releaseProtection": func(ctx context.Context, c *client.Client) (any, error) { return nil, c.ReleaseProtection(ctx, ada) },
	"listLoops": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListLoops(ctx, client.LoopFilter{Account: "ada@example.org", ListOptions: pages}))
	},
	"evaluate": func(ctx context.Context, c *client.Client) (any, error) {
		return c.Evaluate(ctx, client.EvaluateRequest{Account: ada, Resource: "tablet", Platform: "ios", DeviceID: dev, IP: "192.0.2.1", Grant: "grt_0123456789abcdefABCDEF0123456789"})
	},
	"getDefaultRule": func(ctx context.Context, c *client.Client) (any, error) { return rule(c.GetDefaultRule(ctx)) },
	"putDefaultRule": func(ctx context.Context, c *client.Client) (any, error) {
		return rule(c.PutDefaultRule(ctx, wide, guarded))
	},
	"deleteDefaultRule": func(ctx context.Context, c *client.Client) (any, error) {
		return kicked(c.DeleteDefaultRule(ctx, guarded))
	},
	"getDomainRule": func(ctx context.Context, c *client.Client) (any, error) { return rule(c.GetDomainRule(ctx, aDomain)) },
	"putDomainRule": func(ctx context.Context, c *client.Client) (any, error) {
		return rule(c.PutDomainRule(ctx, aDomain, wide, guarded))
	},
	"deleteDomainRule": func(ctx context.Context, c *client.Client) (any, error) {
		return kicked(c.DeleteDomainRule(ctx, aDomain, guarded))
	},
	"getGroupRule": func(ctx context.Context, c *client.Client) (any, error) { return rule(c.GetGroupRule(ctx, aGroup)) },
	"putGroupRule": func(ctx context.Context, c *client.Client) (any, error) {
		return rule(c.PutGroupRule(ctx, aGroup, wide, client.RuleOptions{IfNoneMatch: "*"}))
	},
	"deleteGroupRule": func(ctx context.Context, c *client.Client) (any, error) {
		return kicked(c.DeleteGroupRule(ctx, aGroup, guarded))
	},
	"getAccountRule": func(ctx context.Context, c *client.Client) (any, error) { return rule(c.GetAccountRule(ctx, ada)) },
	"putAccountRule": func(ctx context.Context, c *client.Client) (any, error) {
		return rule(c.PutAccountRule(ctx, ada, wide, time.Now().Add(time.Hour), guarded))
	},
	"deleteAccountRule": func(ctx context.Context, c *client.Client) (any, error) {
		return kicked(c.DeleteAccountRule(ctx, ada, guarded))
	},
	"getEffectiveRule": func(ctx context.Context, c *client.Client) (any, error) { return c.GetEffectiveRule(ctx, ada) },
	"listRules": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListRules(ctx, client.RuleFilter{Level: client.LevelGroup, Search: "st", ListOptions: pages}))
	},
	"previewRule": func(ctx context.Context, c *client.Client) (any, error) {
		return c.PreviewRule(ctx, client.PreviewRequest{Level: client.LevelDomain, Subject: aDomain, Rule: &wide})
	},
	"putAccountGroup": func(ctx context.Context, c *client.Client) (any, error) { return c.PutAccountGroup(ctx, ada, "") },
	"listGroups":      func(ctx context.Context, c *client.Client) (any, error) { return items(c.ListGroups(ctx, pages)) },
	"listMembers": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListMembers(ctx, aGroup, pages))
	},
	"changeMembers": func(ctx context.Context, c *client.Client) (any, error) {
		return c.ChangeMembers(ctx, aGroup, client.MemberChange{Add: []string{ada}, Remove: []string{"eve@example.org"}})
	},
	"listDomains":  func(ctx context.Context, c *client.Client) (any, error) { return items(c.ListDomains(ctx, pages)) },
	"changeDomain": func(ctx context.Context, c *client.Client) (any, error) { return c.ChangeDomain(ctx, aDomain, "") },
	"countKick": func(ctx context.Context, c *client.Client) (any, error) {
		return c.CountKick(ctx, client.KickFilter{Domain: "example.org", Platform: "web"})
	},
	"kickMany": func(ctx context.Context, c *client.Client) (any, error) {
		return c.KickMany(ctx, client.BulkKickRequest{
			Filter: client.KickFilter{Domain: "example.org", Group: "staff", Platform: "web", State: client.StateActive, Resource: "web-*", OlderThan: 60},
			Reason: "recalled", Text: map[string]string{"en": "Bye."}, Cooldown: 60, BlockDevices: true, RevokeCredentials: true,
		})
	},
	"listBulkKicks": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListBulkKicks(ctx, client.BulkKickFilter{State: client.BulkKickRunning, ListOptions: pages}))
	},
	"getBulkKick":    func(ctx context.Context, c *client.Client) (any, error) { return c.GetBulkKick(ctx, kick) },
	"cancelBulkKick": func(ctx context.Context, c *client.Client) (any, error) { return c.CancelBulkKick(ctx, kick) },
	"getPlatforms":   func(ctx context.Context, c *client.Client) (any, error) { return platforms(c.GetPlatforms(ctx)) },
	"putPlatforms": func(ctx context.Context, c *client.Client) (any, error) {
		return platforms(c.PutPlatforms(ctx, client.Platforms{Matchers: []client.PlatformMatcher{{Platform: "kiosk", Resource: "kiosk-*"}}}, client.RuleOptions{IfMatch: `"1"`}))
	},
	"listLinks": func(ctx context.Context, c *client.Client) (any, error) { return items(c.ListLinks(ctx)) },
	"putLinkMode": func(ctx context.Context, c *client.Client) (any, error) {
		return c.PutLinkMode(ctx, "a/b", client.ModeObserve)
	},
	"getStats": func(ctx context.Context, c *client.Client) (any, error) { return c.GetStats(ctx) },
	"getHistory": func(ctx context.Context, c *client.Client) (any, error) {
		return c.GetHistory(ctx, client.HistoryFilter{Since: time.Now().Add(-time.Hour), Until: time.Now(), Step: 60, Domain: "example.org"})
	},
	"listAudit": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListAudit(ctx, client.AuditFilter{
			Actor: "backend", Action: "rule.put", Account: ada, Domain: "example.org", Since: time.Unix(1, 5), Until: time.Now(), ListOptions: pages,
		}))
	},
	"listWebhooks": func(ctx context.Context, c *client.Client) (any, error) { return items(c.ListWebhooks(ctx, pages)) },
	"createWebhook": func(ctx context.Context, c *client.Client) (any, error) {
		return c.CreateWebhook(ctx, client.NewWebhook{
			URL: "https://shop.example/hook", Types: []client.EventType{client.EventTakeover}, Domains: []string{"example.org"}, Description: "shop", Enabled: client.Set(false),
		})
	},
	"getWebhook": func(ctx context.Context, c *client.Client) (any, error) { return c.GetWebhook(ctx, hook) },
	"changeWebhook": func(ctx context.Context, c *client.Client) (any, error) {
		return c.ChangeWebhook(ctx, hook, client.WebhookChange{
			URL: client.Set("https://shop.example/2"), Types: client.Null[[]client.EventType](), Description: client.Null[string](), Enabled: client.Set(true),
		})
	},
	"deleteWebhook":       func(ctx context.Context, c *client.Client) (any, error) { return nil, c.DeleteWebhook(ctx, hook) },
	"rotateWebhookSecret": func(ctx context.Context, c *client.Client) (any, error) { return c.RotateWebhookSecret(ctx, hook) },
	"testWebhook":         func(ctx context.Context, c *client.Client) (any, error) { return c.TestWebhook(ctx, hook) },
	"listDeliveries": func(ctx context.Context, c *client.Client) (any, error) {
		return items(c.ListDeliveries(ctx, hook, client.DeliveryFilter{State: client.DeliveryFailed, ListOptions: pages}))
	},
	"redeliver": func(ctx context.Context, c *client.Client) (any, error) { return c.Redeliver(ctx, hook, "msg_1") },
	"streamEvents": func(ctx context.Context, c *client.Client) (any, error) {
		for e, err := range c.Events(ctx, client.EventOptions{After: "7", Types: []client.EventType{client.EventTakeover, client.EventLinkUp}, Account: ada}) {
			return e, err
		}
		return nil, nil
	},
	"getHealth": func(ctx context.Context, c *client.Client) (any, error) { return anything{}, c.GetHealth(ctx) },
	"getReady":  func(ctx context.Context, c *client.Client) (any, error) { return anything{}, c.GetReady(ctx) },
}

// anything is like every body.
type anything struct{}

func list[T any](all []T, err error) (any, error) { return map[string]any{"items": all}, err }

func items[T any](seq iter.Seq2[T, error]) (any, error) { return list(client.Collect(seq)) }

func rule(s *client.StoredRule, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if s.ETag != tag {
		return nil, fmt.Errorf("ETag %q", s.ETag)
	}
	all := map[string]any{}
	b, err := json.Marshal(s.Rule)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(b, &all)
	all["expires_at"], all["warnings"] = s.ExpiresAt, s.Warnings
	return all, err
}

func platforms(p *client.Platforms, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if p.ETag != tag {
		return nil, fmt.Errorf("ETag %q", p.ETag)
	}
	return map[string]any{"matchers": p.Matchers, "groups": p.Groups, "warnings": p.Warnings}, nil
}

func kicked(id string, err error) (any, error) {
	if err == nil && id != kick {
		return nil, fmt.Errorf("kick %q", id)
	}
	return nil, err
}
