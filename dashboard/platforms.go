package dashboard

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/rules"
)

type platformsPage struct {
	page
	ETag    string
	Q       string
	Rows    []matcherRow // of this page of the table
	From    int          // how many come before
	Found   int          // on all its pages
	Total   int
	First   string
	Next    string
	Groups  []platformGroup
	Try     platformTry
	Changed bool // somebody else has changed the platforms: nothing was done
	Wrong   *formProblem
}

// matcherRow is a matcher in the order in which they are asked.
type matcherRow struct {
	N        int // 1: the first
	Platform string
	Words    template.HTML
	Tried    bool // it decides what was tried
}

// matcherRows are those of a page of the table.
const matcherRows = 40

// turn leaves one page of the rows: that which begins with the one that the query names, or has the one that decides what was tried.
func (p *platformsPage) turn(from int) {
	for i, r := range p.Rows {
		if r.Tried {
			from = i - i%matcherRows
		}
	}
	p.Found = len(p.Rows)
	if from = max(0, min(from, p.Found-1)); from > 0 {
		p.First = link("/rules/platforms", "q", p.Q) + "#matchers"
	}
	if end := from + matcherRows; end < p.Found {
		p.Next = link("/rules/platforms", "q", p.Q, "from", strconv.Itoa(end)) + "#matchers"
		p.Rows = p.Rows[:end]
	}
	p.From, p.Rows = from, p.Rows[from:]
}

type platformGroup struct{ Name, Members string }

// platformTry is a client whose platform is asked for.
type platformTry struct {
	Resource, Client, Account, IP string
	Asked                         bool
	Platform                      string
	By                            int // which matcher decides, from 1; 0: none
}

// platforms shows how platforms are told.
func (d *Dashboard) platforms(v *visit) error {
	defer v.within(pageTimeout)()
	current, err := v.api().GetPlatforms(v.ctx)
	if err != nil {
		return err
	}
	return v.renderPlatforms(http.StatusOK, current, nil)
}

func (v *visit) renderPlatforms(status int, current *client.Platforms, wrong *formProblem) error {
	p := &platformsPage{page: v.page("platforms.title"), ETag: current.ETag, Q: v.query.Get("q"), Total: len(current.Matchers), Wrong: wrong, Changed: status == http.StatusConflict}
	q := v.query
	p.Try = platformTry{Resource: q.Get("resource"), Client: q.Get("client"), Account: q.Get("account"), IP: q.Get("ip")}
	p.Try.Asked = p.Try.Resource+p.Try.Client+p.Try.Account+p.Try.IP != ""
	if p.Try.Asked {
		told, err := tellersOf(current)
		if err != nil {
			return err
		}
		p.Try.Platform, p.Try.By = told.tell(rules.Subject{Resource: p.Try.Resource, Client: p.Try.Client, Account: p.Try.Account, IP: p.Try.IP})
	}
	t := v.teller()
	for i, m := range current.Matchers {
		row := matcherRow{i + 1, m.Platform, t.matcher(m), i+1 == p.Try.By}
		if p.Q == "" || strings.Contains(strings.ToLower(strings.Join([]string{m.Platform, m.Account, m.Group, m.DeviceID, m.CIDR, m.Resource, m.Client, m.Identity}, "\n")), strings.ToLower(p.Q)) {
			p.Rows = append(p.Rows, row)
		}
	}
	from, _ := strconv.Atoi(q.Get("from")) // what is no number is the start
	p.turn(from)
	for _, name := range slices.Sorted(maps.Keys(current.Groups)) {
		p.Groups = append(p.Groups, platformGroup{name, strings.Join(current.Groups[name], "\n")})
	}
	return v.render(status, "platforms", p)
}

// platformTellers are matchers that can be asked without the API: they are a pure function.
type platformTellers rules.Matchers

func tellersOf(p *client.Platforms) (platformTellers, error) {
	b, err := json.Marshal(p.Matchers)
	if err != nil {
		return nil, fmt.Errorf("encode the matchers: %w", err)
	}
	var ms rules.Matchers
	if err := json.Unmarshal(b, &ms); err != nil {
		return nil, fmt.Errorf("read the matchers: %w", err)
	}
	return platformTellers(ms), nil
}

// tell returns a subject's platform, and which matcher decides, from 1; 0: none does.
func (ms platformTellers) tell(s rules.Subject) (platform string, by int) {
	for i, m := range ms {
		if m.Match(s) {
			return m.Platform, i + 1
		}
	}
	return rules.UnknownPlatform, 0
}

// platformNames are the platforms and groups of them that there are, to choose from. Who may not see how they are told gets the usual ones.
func (v *visit) platformNames() []string {
	usual := []string{"android", "bot", "desktop", "ios", "mobile", "unknown", "web"}
	if !v.may(Admin) || v.user.Domains != nil {
		return usual
	}
	p, err := v.api().GetPlatforms(v.ctx)
	if err != nil {
		return usual
	}
	return namesOf(p)
}

func namesOf(p *client.Platforms) []string {
	seen := map[string]bool{rules.UnknownPlatform: true}
	for _, m := range p.Matchers {
		seen[m.Platform] = true
	}
	for name, members := range p.Groups {
		seen[name] = true
		for _, m := range members {
			seen[m] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// oddPlatforms names what a rule limits and no matcher gives, as far as the user may see the matchers: most likely a slip.
func (v *visit) oddPlatforms(r client.Rule) template.HTML {
	if len(r.MaxPerPlatform) == 0 && len(r.Exclusive) == 0 || v.user.Domains != nil {
		return ""
	}
	p, err := v.api().GetPlatforms(v.ctx)
	if err != nil {
		return ""
	}
	known := namesOf(p)
	odd := map[string]bool{}
	for _, name := range slices.Concat(append(r.Exclusive, slices.Collect(maps.Keys(r.MaxPerPlatform)))...) {
		if !slices.Contains(known, name) {
			odd[name] = true
		}
	}
	return v.teller().list(clipAll(slices.Sorted(maps.Keys(odd))))
}

// changePlatforms moves a matcher, or sets the groups. Matchers are changed and taken away by way of a preview.
func (d *Dashboard) changePlatforms(v *visit) error {
	defer v.within(pageTimeout)()
	current, err := v.api().GetPlatforms(v.ctx)
	if err != nil {
		return err
	}
	if current.ETag != v.form("etag") {
		return v.renderPlatforms(http.StatusConflict, current, nil)
	}
	do, what, _ := strings.Cut(v.form("do"), ":")
	switch do {
	case "up", "down", "to":
		i, ok := index(what, len(current.Matchers)+1)
		if !ok || i == 0 {
			return refuse(http.StatusBadRequest)
		}
		to, err := strconv.Atoi(v.form("to"))
		switch {
		case do == "up":
			to = i - 1
		case do == "down":
			to = i + 1
		case err != nil:
			return v.renderPlatforms(http.StatusUnprocessableEntity, current, &formProblem{Key: "rules.wrong.number"})
		}
		to = max(1, min(to, len(current.Matchers)))
		m := current.Matchers[i-1]
		current.Matchers = slices.Insert(slices.Delete(current.Matchers, i-1, i), to-1, m)
		return v.savePlatforms(current, "platforms.done.moved", m.Platform, number(int64(to)))
	case "groups":
		groups, ok := readPlatformGroups(v.r.PostForm)
		if !ok {
			return v.renderPlatforms(http.StatusUnprocessableEntity, current, &formProblem{Key: "rules.wrong.twice"})
		}
		current.Groups = groups
		return v.savePlatforms(current, "platforms.done.groups")
	}
	return refuse(http.StatusBadRequest)
}

// readPlatformGroups reads groups, a row for each; one without a name goes. false: a name is there twice.
func readPlatformGroups(in url.Values) (map[string][]string, bool) {
	groups := map[string][]string{}
	for i := range maxRows {
		at := "group." + strconv.Itoa(i)
		if _, ok := in[at+".name"]; !ok {
			break
		}
		name := strings.TrimSpace(in.Get(at + ".name"))
		if name == "" {
			continue
		}
		if _, twice := groups[name]; twice {
			return nil, false
		}
		groups[name] = readSets([][]cell{{{"platforms", lines(in.Get(at + ".members"))}}})[0]
	}
	return groups, true
}

// savePlatforms writes the platforms as they were read and changed, and goes back to them.
func (v *visit) savePlatforms(p *client.Platforms, key string, args ...string) error {
	_, err := v.api().PutPlatforms(v.once(), *p, client.RuleOptions{IfMatch: p.ETag})
	if err == nil {
		v.done(key, args...)
		return v.redirect(link("/rules/platforms", "from", v.form("from")))
	}
	if !isConflict(err) && problemOf(err) == nil {
		return err
	}
	now, again := v.api().GetPlatforms(v.ctx)
	switch {
	case again != nil:
		return again
	case isConflict(err):
		return v.renderPlatforms(http.StatusConflict, now, nil)
	}
	return v.renderPlatforms(http.StatusUnprocessableEntity, now, &formProblem{Detail: said(err).Detail})
}

// index reads a place in a list of n.
func index(text string, n int) (int, bool) {
	i, err := strconv.Atoi(text)
	return i, err == nil && 0 <= i && i < n
}
