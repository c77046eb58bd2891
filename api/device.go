package api

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/jid"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// The sizes of what a device may be called and known by, in characters.
const (
	maxDeviceName  = 100
	maxUserAgentID = 128 // as a server's module passes it on at most
)

// device is a device on the wire.
type device struct {
	ID          string     `json:"id"`
	Account     string     `json:"account"`
	Name        *string    `json:"name"`
	Platform    string     `json:"platform"`
	Identity    string     `json:"identity"`
	Resource    *string    `json:"resource"`
	UserAgentID *string    `json:"user_agent_id"`
	Client      string     `json:"client"`
	Registered  bool       `json:"registered"`
	Blocked     bool       `json:"blocked"`
	FirstSeenAt *time.Time `json:"first_seen_at"`
	LastSeenAt  *time.Time `json:"last_seen_at"`
	SessionIDs  []string   `json:"session_ids"`
}

func showDevice(acc account, d store.ListedDevice, matchers rules.Matchers) device {
	v := device{
		ID: store.DeviceID(acc.key, d.ID), Account: acc.jid, Name: orNull(d.Name), Platform: d.Platform, Identity: string(d.Identity), Resource: orNull(d.Resource),
		UserAgentID: orNull(d.UserAgentID), Client: d.Client, Registered: d.Registered, Blocked: d.Blocked, FirstSeenAt: utc(d.FirstSeenAt), LastSeenAt: utc(d.LastSeenAt),
		SessionIDs: make([]string, len(d.Sessions)),
	}
	if v.Platform == "" && len(d.Platforms) > 0 {
		v.Platform = d.Platforms[len(d.Platforms)-1]
	}
	v.Platform = cmp.Or(v.Platform, matchers.Platform(rules.Subject{Account: acc.jid, DeviceID: v.ID, Resource: d.Resource, Client: d.Client}))
	for i, g := range d.Sessions {
		v.SessionIDs[i] = store.SessionID(acc.key, g)
	}
	return v
}

func (a *api) listDevices(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	q := url.Values(c.query)
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	of := c.listName("/v1/accounts/devices", acc.jid)
	place, err := a.behind(c, of)
	if err != nil {
		return err
	}
	after := unpackNumber(place)
	if _, err := a.store.FindAccount(c.ctx, acc.key); err != nil {
		return err
	}
	read, err := a.store.ListDevices(c.ctx, acc.key, after, limit+1)
	if err != nil {
		return err
	}
	platforms, err := a.store.FindPlatforms(c.ctx)
	if err != nil {
		return err
	}
	show := func(d store.ListedDevice) device { return showDevice(acc, d, platforms.Matchers) }
	return c.respond(http.StatusOK, page(read, limit, show, func(d store.ListedDevice) string { return a.cursors.seal(of, packNumber(d.ID)) }))
}

func (a *api) registerDevice(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	o, err := readObject(c.Request(), "name", "platform", "resource", "user_agent_id")
	if err != nil {
		return err
	}
	r := gate.Registration{Account: acc.jid, By: c.actor()}
	if o.exactlyOne([]string{"resource", "user_agent_id"}) {
		r.Resource, r.UserAgentID = o.resource("resource"), o.userAgentID("user_agent_id")
	}
	r.Name, r.Platform = o.label("name", maxDeviceName), o.platform()
	if o.problem != nil {
		return o.problem
	}
	id, created, err := a.gate.RegisterDevice(c.ctx, r)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set("Location", "/v1/accounts/"+url.PathEscape(acc.jid)+"/devices/"+store.DeviceID(acc.key, id))
	}
	return a.respondDevice(c, status, acc, id)
}

func (a *api) getDevice(c *call) error {
	acc, id, err := c.device()
	if err != nil {
		return err
	}
	return a.respondDevice(c, http.StatusOK, acc, id)
}

func (a *api) changeDevice(c *call) error {
	acc, id, err := c.device()
	if err != nil {
		return err
	}
	o, err := readObject(c.Request(), "name", "platform", "blocked")
	if err != nil {
		return err
	}
	if len(o.fields) == 0 {
		o.wrong("", "One of name, platform and blocked is needed; none is there.")
	}
	if !c.caller.may(ScopeDevicesWrite) && (o.has("name") || o.has("platform")) { // sessions:kick blocks, by a kick too, and lets in again
		return insufficient(ScopeDevicesWrite)
	}
	change := gate.DeviceChange{Account: acc.jid, Device: id, By: c.actor(), Name: o.label("name", maxDeviceName), Platform: o.platform(), Blocked: o.boolean("blocked")}
	if o.problem != nil {
		return o.problem
	}
	report, err := a.gate.ChangeDevice(c.ctx, change, a.kickWait)
	if err != nil {
		return err
	}
	status := http.StatusOK
	for _, r := range report.Results {
		if r.Outcome == outcomePending {
			status = http.StatusAccepted
		}
	}
	return a.respondDevice(c, status, acc, id)
}

func (a *api) forgetDevice(c *call) error {
	acc, id, err := c.device()
	if err != nil {
		return err
	}
	if err := a.gate.ForgetDevice(c.ctx, acc.jid, id, c.actor()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (a *api) respondDevice(c *call, status int, acc account, id int64) error {
	d, err := a.store.FindDevice(c.ctx, acc.key, id)
	if err != nil {
		return err
	}
	platforms, err := a.store.FindPlatforms(c.ctx)
	if err != nil {
		return err
	}
	return c.respond(status, showDevice(acc, d, platforms.Matchers))
}

// device reads the path's account and device. A device of another account is not there.
func (c *call) device() (account, int64, error) {
	acc, err := c.account()
	if err != nil {
		return acc, 0, err
	}
	key, id, err := store.ParseDeviceID(c.pathParam("id"))
	if err == nil && key != acc.key {
		err = store.ErrNotFound
	}
	return acc, id, err
}

// resource reads a resource and prepares it as servers do; "" if it is not there.
func (o *object) resource(name string) string {
	text := o.text(name, 4*jid.MaxPart)
	if o.problem != nil || !o.has(name) {
		return ""
	}
	resource, err := jid.Resource(text)
	if err != nil {
		o.wrong("/"+name, jidProblem(err))
	}
	return resource
}

// userAgentID reads the id of a user agent (XEP-0388 §2.2), which is compared as it is; "" if it is not there.
func (o *object) userAgentID(name string) string {
	s := o.text(name, maxUserAgentID)
	if len(s) > maxUserAgentID || strings.ContainsFunc(s, func(r rune) bool { return unprintable(r) || unicode.IsSpace(r) }) {
		o.wrong("/"+name, "This must be the id that the client sends, such as d4565fa7-4d72-4749-b3d3-740edbf87770: 128 bytes at most, without spaces.")
	}
	return s
}

// label reads a text of printable characters, to which null means none; nil if it is not there.
func (o *object) label(name string, limit int) *string {
	if string(o.fields[name]) == "null" {
		return new(string)
	}
	if !o.has(name) {
		return nil
	}
	s := o.text(name, limit)
	if strings.TrimSpace(s) != s || strings.ContainsFunc(s, unprintable) {
		o.wrong("/"+name, "This must be printable, without spaces at its ends.")
	}
	return &s
}

// platform reads a platform's name, to which null means none; nil if it is not there.
func (o *object) platform() *string {
	const name = "platform"
	if string(o.fields[name]) == "null" {
		return new(string)
	}
	if !o.has(name) {
		return nil
	}
	s := o.text(name, maxPlatform)
	if !rules.PlatformName(s) {
		o.wrong("/"+name, "This must be printable, without spaces at its ends.")
	}
	return &s
}

// unprintable reports whether r is a control character, breaks a line, turns the direction of the text around it, or is none. Characters that this
// program's tables do not have yet, such as new emoji, are printable.
func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == 0xfffe || r == 0xffff
}
