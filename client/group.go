package client

import (
	"context"
	"iter"
	"net/http"
)

// Group is accounts that have a rule together.
type Group struct {
	Name    string `json:"group"`
	Members int64  `json:"members"`
	Rule    bool   `json:"rule"` // it has one
}

// ListGroups lists the groups that have an account or a rule, by name.
func (c *Client) ListGroups(ctx context.Context, o ListOptions) iter.Seq2[Group, error] {
	return list[Group](ctx, c, o, nil, "/v1/groups")
}

// AccountGroup is an account's group.
type AccountGroup struct {
	Account string `json:"account"`
	Group   string `json:"group"` // "": none
}

// PutAccountGroup puts an account into a group, or with "" into none. The account need not have logged in yet.
func (c *Client) PutAccountGroup(ctx context.Context, jid, group string) (*AccountGroup, error) {
	body := struct {
		Group Optional[string] `json:"group"`
	}{Null[string]()}
	if group != "" {
		body.Group = Set(group)
	}
	g, _, err := send[AccountGroup](ctx, c, request{method: http.MethodPut, body: body, changes: true}, "/v1/accounts/%s/group", jid)
	return g, err
}

// Member is an account of a group.
type Member struct {
	Account string `json:"account"`
}

// ListMembers lists a group's members, in no order that means anything.
func (c *Client) ListMembers(ctx context.Context, group string, o ListOptions) iter.Seq2[Member, error] {
	return list[Member](ctx, c, o, nil, "/v1/groups/%s/members", group)
}

// MemberChange is who comes into a group and who leaves it: up to 500 accounts together, none twice.
type MemberChange struct {
	Add    []string `json:"add,omitempty"`    // bare JIDs; they leave the group that they were in
	Remove []string `json:"remove,omitempty"` // bare JIDs
}

// MembersChanged is how many accounts have changed; those that were as wanted are not counted.
type MembersChanged struct {
	Group   string `json:"group"`
	Added   int64  `json:"added"`
	Removed int64  `json:"removed"`
}

// ChangeMembers changes the members of a group, all or none.
func (c *Client) ChangeMembers(ctx context.Context, group string, m MemberChange) (*MembersChanged, error) {
	v, _, err := send[MembersChanged](ctx, c, request{method: http.MethodPost, body: m, changes: true}, "/v1/groups/%s/members", group)
	return v, err
}
