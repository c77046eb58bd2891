package gate

import "github.com/bindgate/bindgate/store"

// auditedKick is what the audit shows of a kick beyond its outcome.
type auditedKick struct {
	Reason   string `json:"reason,omitempty"`
	Block    bool   `json:"block_devices,omitempty"`
	Revoke   bool   `json:"revoke_credentials,omitempty"`
	Cooldown int64  `json:"cooldown_seconds,omitempty"`
}

// kickOutcome is what a kick came to when it was put on record, in the audit and for an attempt that goes on from there.
type kickOutcome struct {
	KickID      string          `json:"kick_id"`
	Generation  int64           `json:"generation"`
	Revision    int64           `json:"revision"`
	Sessions    []kickedSession `json:"sessions"`
	Blocked     []string        `json:"blocked_device_ids,omitempty"`
	Credentials string          `json:"credentials,omitempty"`
	Reason      string          `json:"credentials_reason,omitempty"`
}

type kickedSession struct {
	ID       string `json:"session_id"`
	Resource string `json:"resource"`
	Outcome  string `json:"outcome"`
	Blocked  bool   `json:"device_blocked,omitempty"`
}

func outcomeOf(account store.Key, r KickReport) kickOutcome {
	o := kickOutcome{
		KickID: r.KickID, Generation: r.Generation, Revision: r.Revision, Sessions: make([]kickedSession, len(r.Results)),
		Credentials: r.Credentials.Outcome, Reason: r.Credentials.Reason,
	}
	for i, s := range r.Results {
		o.Sessions[i] = kickedSession{store.SessionID(account, s.Generation), s.Resource, s.Outcome, s.Blocked}
	}
	for _, d := range r.Blocked {
		o.Blocked = append(o.Blocked, store.DeviceID(account, d))
	}
	return o
}

// report is the inverse of outcomeOf. The ids are our own.
func (o kickOutcome) report() KickReport {
	r := KickReport{KickID: o.KickID, Generation: o.Generation, Revision: o.Revision, Credentials: Credentials{Outcome: o.Credentials, Reason: o.Reason}}
	for _, s := range o.Sessions {
		_, generation, _ := store.ParseSessionID(s.ID)
		r.Results = append(r.Results, KickOutcome{Generation: generation, Resource: s.Resource, Outcome: s.Outcome, Blocked: s.Blocked})
	}
	for _, id := range o.Blocked {
		_, device, _ := store.ParseDeviceID(id)
		r.Blocked = append(r.Blocked, device)
	}
	return r
}
