package api_test

import "testing"

func TestRevokeCredentials(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ids := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1})
	var got struct {
		kickReport
		Credentials *struct {
			Outcome string
			Revoked []any
			Reason  *string
		}
	}
	s.do("POST", adasKick, `{"all":true,"revoke_credentials":true}`).ok(202, &got)
	if c := got.Credentials; c == nil || c.Outcome != "pending" || c.Revoked == nil || c.Reason != nil || len(got.Results) != 1 {
		t.Errorf("%+v", got)
	}
	var kicks, same, due int
	if err := s.pool.QueryRow(t.Context(), `select count(*), count(k.id), count(v.next_at) from revocations v left join kicks k on k.account = v.account and k.id = v.kick`).Scan(&kicks, &same, &due); err != nil || kicks != 1 || same != 1 || due != 1 {
		t.Errorf("on record: %d revocations, %d of kicks, %d due, %v", kicks, same, due, err)
	}
	// A session whose device is not known by a user-agent id: there is nothing to ask the server for.
	got.Credentials = nil
	s.do("POST", adasKick, `{"session_ids":["`+ids[0]+`"],"revoke_credentials":true}`).ok(202, &got)
	if c := got.Credentials; c == nil || c.Outcome != "unable" || c.Reason == nil {
		t.Errorf("%+v", got)
	}
	got.Credentials = nil
	s.do("POST", adasKick, `{"all":true,"revoke_credentials":false}`).ok(202, &got)
	if got.Credentials != nil {
		t.Errorf("%+v", got.Credentials)
	}
	for _, body := range []string{`"yes"`, `1`, `null`} {
		s.do("POST", adasKick, `{"all":true,"revoke_credentials":`+body+`}`).fails(422, "invalid_field", "/revoke_credentials")
	}
}
