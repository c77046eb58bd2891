package dashboard

import (
	"net/http"
	"slices"
	"time"

	"github.com/bindgate/bindgate/client"
)

// staleCompare is after how long a domain that was not compared with its server is pointed out: it is compared every minute.
const staleCompare = 3 * time.Minute

type linksPage struct {
	page
	Links    []linkView
	MayBrake bool
}

type linkView struct {
	client.Link
	Key     string // for an id on the page
	Domains []domainView
	Brake   bool // it does not enforce
	// Can and Cannot are the abilities of a link without a module; each module has its own (domainView).
	Can, Cannot []abilityView
}

// abilityView is an ability in the user's language, with the link's own word on it.
type abilityView struct{ Text, Why string }

// domainView is a virtual host with what its module can do.
type domainView struct {
	client.LinkDomain
	Live        int64    // sessions of the domain; -1: not counted
	Sure, Lacks []string // texts
	Behind      bool     // it was not compared with its server for too long
	Differs     bool     // it is in another mode than its link is to be
}

// stockAbilities are those of links without a module that have words in links.toml.
var stockAbilities = append(slices.Clone(abilities), "at_once", "conflict", "text", "hibernation", "idle", "devices", "same_resource")

// abilities are those whose lack has words of its own; links.toml has two for each.
var abilities = []string{"ask", "kick", "probe", "snapshot", "mode", "language", "hold", "ended", "revoke"}

// links shows the connections to XMPP servers, their modules and the brake.
func (d *Dashboard) links(v *visit) error {
	defer v.within(pageTimeout)()
	list, err := client.Collect(v.api().ListLinks(v.ctx))
	if err != nil {
		return err
	}
	stats, err := v.api().GetStats(v.ctx)
	if err != nil {
		return err
	}
	live := map[string]int64{}
	for _, s := range stats.Domains {
		live[s.Domain] = s.Sessions
	}
	p := &linksPage{page: v.page("links.title"), MayBrake: v.mayBrake()}
	p.Live = &liveOf{Types: []string{"link"}, Every: 10}
	for i, l := range list {
		p.Links = append(p.Links, v.linkView(l, i, live))
	}
	return v.render(http.StatusOK, "links", p)
}

// mayBrake reports whether the user may change a link's mode: a link serves all of its domains alike.
func (v *visit) mayBrake() bool { return v.may(Admin) && v.user.Domains == nil }

func (v *visit) linkView(l client.Link, at int, live map[string]int64) linkView {
	view := linkView{Link: l, Key: number(int64(at)), Brake: l.Mode != client.ModeEnforce}
	if l.Driver != "gate" {
		for _, a := range l.Abilities {
			of := &view.Cannot
			if a.Can {
				of = &view.Can
			}
			text := visible(a.Name)
			if slices.Contains(stockAbilities, a.Name) {
				text = v.t("links.ability." + a.Name)
			}
			*of = append(*of, abilityView{text, a.Why})
		}
	}
	for _, m := range l.Domains {
		d := domainView{LinkDomain: m, Live: -1, Differs: m.Mode != "" && m.Mode != l.Mode}
		if n, ok := live[m.Domain]; ok {
			d.Live = n
		}
		if l.Driver != "gate" {
			m.Abilities = nil
		}
		for _, a := range m.Abilities {
			d.Sure = append(d.Sure, v.ability("can", a))
		}
		for _, a := range m.MissingAbilities {
			d.Lacks = append(d.Lacks, v.ability("lacks", a))
		}
		d.Behind = l.State == client.LinkUp && !m.LastHelloAt.IsZero() && (m.LastSnapshotAt.IsZero() || v.d.cfg.Now().Sub(m.LastSnapshotAt) > staleCompare)
		view.Domains = append(view.Domains, d)
	}
	return view
}

// ability says what a module can do, or what comes of it that it cannot.
func (v *visit) ability(which, name string) string {
	if slices.Contains(abilities, name) {
		return v.t("links." + which + "." + name)
	}
	return visible(name)
}

type modePage struct {
	page
	Link    client.Link
	Modes   []modeChoice
	Problem *problem
}

type modeChoice struct {
	Mode          client.Mode
	Chosen, IsNow bool
}

var modes = []client.Mode{client.ModeEnforce, client.ModeObserve, client.ModeOff}

// link finds a link by its id.
func (v *visit) link(id string) (client.Link, error) {
	for l, err := range v.api().ListLinks(v.ctx) {
		if err != nil {
			return l, err
		}
		if l.ID == id {
			return l, nil
		}
	}
	return client.Link{}, refuse(http.StatusNotFound)
}

func (v *visit) modeQuestion(id string) (*modePage, error) {
	if !v.mayBrake() {
		return nil, refuse(http.StatusForbidden)
	}
	l, err := v.link(id)
	if err != nil {
		return nil, err
	}
	p := &modePage{page: v.page("links.mode.title"), Link: l}
	for _, m := range modes {
		p.Modes = append(p.Modes, modeChoice{m, m == l.Mode, m == l.Mode})
	}
	return p, nil
}

// askMode asks which mode a link is to have, and says what comes of each.
func (d *Dashboard) askMode(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.modeQuestion(v.query.Get("id"))
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "links_mode", p)
}

// setMode pulls or releases the brake.
func (d *Dashboard) setMode(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.modeQuestion(v.r.PostForm.Get("id"))
	if err != nil {
		return err
	}
	change, err := v.api().PutLinkMode(v.once(), p.Link.ID, client.Mode(v.form("mode")))
	if p.Problem = problemOf(err); p.Problem != nil {
		return v.render(http.StatusUnprocessableEntity, "links_mode", p)
	} else if err != nil {
		return err
	}
	told := "links.mode.pending"
	if change.Applied {
		told = "links.mode.done"
	}
	v.done(told, p.Link.ID, v.t("links.mode."+string(change.Mode)))
	return v.redirect(Root + "/links")
}
