package gate

import (
	"strings"
	"testing"
	"time"
)

// A domain is one link's. Two that serve one now are told of each other; what a link heard on an earlier connection is nothing that it serves.
func TestSharedDomains(t *testing.T) {
	t.Parallel()
	now := time.Now()
	heard := func(ago time.Duration, domains ...string) (out []DomainStatus) {
		at := now.Add(-ago)
		for _, d := range domains {
			out = append(out, DomainStatus{Domain: d, LastHelloAt: &at})
		}
		return out
	}
	link := func(name, state string, domains ...DomainStatus) LinkStatus {
		return LinkStatus{Name: name, Component: "bindgate." + name, State: state, Since: now.Add(-time.Minute), Domains: domains}
	}
	links := []LinkStatus{
		link("a", "up", heard(time.Second, "shared", "own", "moved", "left")...),
		link("b", "up", append(heard(time.Hour, "moved"), append(heard(0, "shared"), DomainStatus{Domain: "own"})...)...),
		link("c", "down", heard(0, "own")...),
		link("d", "unowned", heard(0, "left")...),
	}
	links[1].Domains[1].Problem = "one of 3 nodes"
	tellShared(links)
	for _, l := range links {
		for _, d := range l.Domains {
			want := map[string]string{"a shared": "link b, on component bindgate.b, serves this domain too", "b shared": "one of 3 nodes; link a, on component bindgate.a, serves this domain too"}[l.Name+" "+d.Domain]
			if !strings.HasPrefix(d.Problem, want) || want == "" && d.Problem != "" {
				t.Errorf("%s of link %s: %q, want %q", d.Domain, l.Name, d.Problem, want)
			}
		}
	}
}
