package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/store"
)

// problem waits until the link's state says this of a domain.
func (w *world) problem(domain, want string) {
	w.t.Helper()
	w.until("the link's state tells: "+want, func() string {
		said := "there is no such domain"
		for _, d := range w.link().Domains {
			if d.Domain == domain {
				if strings.Contains(d.Problem, want) {
					return ""
				}
				said = "it says: " + d.Problem
			}
		}
		return said
	})
}

// Two bindgates with different databases on one component: both see it in their link's state. When one is stopped the other goes on.
func TestTwoDatabases(t *testing.T) { servers.Each(t, testTwoDatabases) }

func testTwoDatabases(t *testing.T, on *servers.Kind) {
	first := newWorld(t, on, servers.Options{})
	second := &world{t: t, url: pgtest.URL(t), on: on, server: first.server, addr: first.addr}
	var err error
	if second.store, err = store.Open(t.Context(), store.Config{URL: second.url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.store.Close)
	second.running = second.launch("second")
	names := map[*world]string{}
	for _, w := range []*world{first, second} {
		if names[w], err = w.store.Identity(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first.problem(first.server.Domain(), "another bindgate, with another database ("+names[second]+")")
	second.problem(first.server.Domain(), "another bindgate, with another database ("+names[first]+")")
	second.running.stop()
	first.linked()
	first.login("ann", "phone")
	first.recorded("ann", "phone=active")
}

// Two bindgates on one database and one component whose links have different names: both see it, each with the other's name. When one is stopped the other goes on.
func TestTwoLinkNames(t *testing.T) { servers.OneOrEach(t, testTwoLinkNames) }

func testTwoLinkNames(t *testing.T, on *servers.Kind) {
	first := newWorld(t, on, servers.Options{})
	second := &world{t: t, url: first.url, on: on, server: first.server, addr: first.addr, store: first.store, linkAs: "second"}
	second.running = second.launch("second")
	const told = "another bindgate on this database was on the component %s until this one took its place, for a link of another name (%s)"
	first.problem(first.server.Domain(), fmt.Sprintf(told, first.server.ComponentJID(), "second"))
	second.problem(first.server.Domain(), fmt.Sprintf(told, first.server.ComponentJID(), "default"))
	second.running.stop()
	first.linked()
	first.login("ann", "phone")
	first.recorded("ann", "phone=active")
}

// A stock ejabberd lets two links have its component, and tells neither: the links tell of each other.
func TestTwoStockLinks(t *testing.T) { servers.EachOf(t, "ejabberd", testTwoStockLinks) }

func testTwoStockLinks(t *testing.T, on *servers.Kind) {
	first := newStockWorld(t, on, servers.Options{})
	second := &world{t: t, url: first.url, on: on, server: first.server, addr: first.addr, store: first.store, driver: first.driver, linkAs: "second"}
	second.running = second.launch("second")
	const told = "link %s, on component %s, serves this domain too"
	first.problem(first.server.Domain(), fmt.Sprintf(told, "second", first.server.ComponentJID()))
	second.problem(first.server.Domain(), fmt.Sprintf(told, "default", first.server.ComponentJID()))
}

// A link names two virtual hosts, and the module is on one of them.
func TestHostWithoutModule(t *testing.T) { servers.Each(t, testHostWithoutModule) }

func testHostWithoutModule(t *testing.T, on *servers.Kind) {
	w := dormant(t, on, servers.Options{Twin: true, TwinBare: true})
	w.domains = []string{w.server.Domain(), w.server.Twin()}
	w.start()
	w.problem(w.server.Twin(), "there is no gate module on "+w.server.Twin())
	w.login("ann", "phone")
	w.recorded("ann", "phone=active")
}

// A module that is taken away while its link is up: the link's state tells, until it is back.
func TestModuleTakenAway(t *testing.T) { servers.Each(t, testModuleTakenAway) }

func testModuleTakenAway(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Own: true})
	w.rule(`{"max_sessions": 1}`)
	first := w.login("ann", "phone")
	if err := w.server.Unload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.problem(w.server.Domain(), "there is no gate module on "+w.server.Domain())
	if err := w.server.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.until("the module is back", func() string { return w.link().Domains[0].Problem })
	w.login("ann", "tablet")
	w.takenOver(first)
	w.agreed(1)
}
