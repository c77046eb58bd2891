package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// linkState is the owner's view, kept in the record for every replica to show.
type linkState struct {
	Up         bool           `json:"up"`
	Since      time.Time      `json:"since"`
	LastError  string         `json:"last_error,omitempty"`
	ModeChange int64          `json:"mode_change,omitempty"`
	Domains    []DomainStatus `json:"domains,omitempty"`
	Abilities  []Ability      `json:"abilities,omitempty"`
	SelfTest   *SelfTest      `json:"self_test,omitempty"`
}

// DomainStatus is the state of one module.
type DomainStatus struct {
	Domain         string     `json:"domain"`
	Node           string     `json:"node,omitempty"`
	Server         string     `json:"server,omitempty"`
	ServerVersion  string     `json:"server_version,omitempty"`
	Module         string     `json:"module,omitempty"`
	Protocol       string     `json:"protocol,omitempty"`
	Mode           string     `json:"mode,omitempty"`
	OnFailure      string     `json:"on_failure,omitempty"`
	Epoch          string     `json:"epoch,omitempty"`
	Seq            int64      `json:"seq"`
	Sessions       int        `json:"sessions"`
	Abilities      []string   `json:"abilities,omitempty"`
	Missing        []string   `json:"missing,omitempty"`
	LastSnapshotAt *time.Time `json:"last_snapshot_at,omitempty"`
	LastHelloAt    *time.Time `json:"last_hello_at,omitempty"`
	Problem        string     `json:"problem,omitempty"`
}

// stateOf needs Gate.mu.
func (g *Gate) stateOf(l *link) json.RawMessage {
	s := linkState{Up: l.conn != nil, Since: l.since.UTC(), LastError: l.lastError, ModeChange: l.modeChange, Abilities: abilitiesOf(l), SelfTest: l.selfTest}
	for _, src := range l.sources {
		d := DomainStatus{
			Domain: src.Domain, Node: src.Node, Server: src.Server, ServerVersion: src.ServerVersion, Module: src.Module, Protocol: src.Version, Mode: src.Mode,
			OnFailure: src.OnFailure, Epoch: src.Epoch, Seq: src.lastSeq, Sessions: src.Sessions, Abilities: src.Abilities, Problem: src.problem,
		}
		if time.Since(src.rivalAt) < rivalShown {
			d.Problem = rivalProblem(l.component, src.Rival)
		}
		if !src.snapshotAt.IsZero() {
			at := src.snapshotAt.UTC()
			d.LastSnapshotAt = &at
		}
		if !src.helloAt.IsZero() {
			at := src.helloAt.UTC()
			d.LastHelloAt = &at
			for _, a := range abilities {
				if !src.Stock && !slices.Contains(src.Abilities, a) {
					d.Missing = append(d.Missing, a)
				}
			}
		}
		s.Domains = append(s.Domains, d)
	}
	slices.SortFunc(s.Domains, func(a, b DomainStatus) int {
		if a.Domain < b.Domain || a.Domain == b.Domain && a.Node < b.Node {
			return -1
		}
		return 1
	})
	b, err := json.Marshal(s)
	if err != nil { // only for types that cannot be encoded: a mistake in the program
		panic("gate: link state: " + err.Error())
	}
	return b
}

// LinkStatus is the state of a link as its owner keeps it.
type LinkStatus struct {
	Name, Driver, Component string
	State                   string // up, down, or unowned: no process holds it
	Owner                   string // name of the process
	Mine                    bool   // this process is the owner
	Mode                    string // that its modules have to be in; each says its own
	ModeChange              int64  // the last change of the mode that every module has confirmed
	Since                   time.Time
	LastError               string
	Domains                 []DomainStatus
	Abilities               []Ability // none before a domain has said hello
	SelfTest                *SelfTest // the last one; nil: none is configured, or it is still to come
}

// Links returns all links of the record, whichever process owns them.
func (g *Gate) Links(ctx context.Context) ([]LinkStatus, error) {
	rows, err := g.store.Links(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]LinkStatus, len(rows))
	for i, r := range rows {
		var s linkState
		if err := json.Unmarshal(r.State, &s); err != nil {
			return nil, fmt.Errorf("state of link %q: %w", r.Name, err)
		}
		out[i] = LinkStatus{
			Name: r.Name, Driver: r.Driver, Component: r.Component, State: "down", Owner: r.OwnerName, Mine: r.Owned && r.Owner == g.id, Mode: r.Mode,
			ModeChange: s.ModeChange, Since: s.Since, LastError: s.LastError, Domains: s.Domains, Abilities: s.Abilities, SelfTest: s.SelfTest,
		}
		switch {
		case !r.Owned:
			out[i].State = "unowned"
		case s.Up:
			out[i].State = "up"
		}
	}
	tellShared(out)
	return out, nil
}

// tellShared notes the domains that two links serve, as those of two processes may that do not know of each other. A server without a module does not tell them apart, and lets
// both have the component.
func tellShared(links []LinkStatus) {
	serving := map[string][]int{} // domain → links that are up and have heard from it since
	for i, l := range links {
		for _, d := range l.Domains {
			if !slices.Contains(serving[d.Domain], i) && l.State == "up" && d.LastHelloAt != nil && !d.LastHelloAt.Before(l.Since) {
				serving[d.Domain] = append(serving[d.Domain], i)
			}
		}
	}
	for i := range links {
		for j := range links[i].Domains {
			d := &links[i].Domains[j]
			who := serving[d.Domain]
			if !slices.Contains(who, i) || len(who) < 2 {
				continue
			}
			other := links[who[(slices.Index(who, i)+1)%len(who)]]
			words := fmt.Sprintf("link %s, on component %s, serves this domain too: its sessions are recorded twice, and one is evicted for the other; stop one of the two, or give both one name, so that they take turns",
				other.Name, other.Component)
			if d.Problem != "" {
				words = d.Problem + "; " + words
			}
			d.Problem = words
		}
	}
}
