package api

import (
	"maps"
	"slices"

	"github.com/bindgate/bindgate/gate"
)

// credentials is what became of an account's stored login credentials.
type credentials struct {
	Outcome string    `json:"outcome"`
	Revoked []revoked `json:"revoked"`
	Reason  *string   `json:"reason"`
}

type revoked struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

func showCredentials(c gate.Credentials) *credentials {
	v := &credentials{Outcome: c.Outcome, Revoked: []revoked{}, Reason: orNull(c.Reason)}
	for _, kind := range slices.Sorted(maps.Keys(c.Revoked)) {
		v.Revoked = append(v.Revoked, revoked{Kind: kind, Count: c.Revoked[kind]})
	}
	return v
}
