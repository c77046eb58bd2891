package rules

import (
	"maps"
	"slices"
	"strconv"
)

// unknownPlatform is the platform of a device that nothing is known of.
const unknownPlatform = "unknown"

// UnknownPlatform is the platform of a device that no matcher fits.
const UnknownPlatform = unknownPlatform

// Platforms says how a device's platform is told, and which platforms have a name together.
type Platforms struct {
	Matchers Matchers            `json:"matchers"` // the first that fits decides
	Groups   map[string][]string `json:"groups"`
}

// ShippedPlatforms returns what holds until an operator says otherwise; the caller may change it.
func ShippedPlatforms() Platforms {
	return Platforms{Matchers: append(Matchers(nil), shippedMatchers...), Groups: map[string][]string{"mobile": {"ios", "android"}}}
}

// Platform returns the platform of the first matcher that fits, else "unknown".
func (ms Matchers) Platform(s Subject) string {
	for i := range ms {
		if ms[i].Match(s) {
			return ms[i].Platform
		}
	}
	return unknownPlatform
}

// Bounds of platforms.
const (
	maxMatchers = 500
	maxGroups   = 100
)

// ParsePlatforms reads platforms from JSON, {"matchers": […], "groups": {…}}, and checks all of it as Parse does. The matchers have to be there; without groups there are none.
func ParsePlatforms(data []byte) (Platforms, error) {
	pl := Platforms{Groups: map[string][]string{}}
	if err := checkSyntax(data); err != nil {
		return Platforms{}, err
	}
	p := newParser(data)
	err := p.object("", `must be a JSON object with matchers and groups`, func(name, at string) error {
		var err error
		switch name {
		case "matchers":
			pl.Matchers, err = p.matchers(at, maxMatchers, platformMatcher())
		case "groups":
			err = p.object(at, `must be an object of group and platforms, such as {"mobile": ["ios", "android"]}`, func(name, here string) error {
				switch {
				case !platformName(name):
					return invalid(here, "a group's name must be 1 to 64 printable characters")
				case len(pl.Groups) == maxGroups:
					return invalid(here, "at most 100 groups of platforms can be named")
				}
				pl.Groups[name], err = p.platformSet(here)
				return err
			})
		default:
			return &FieldError{UnknownField, at, "unknown field " + quoted(name) + "; platforms have matchers, groups"}
		}
		return err
	})
	switch {
	case err != nil:
		return Platforms{}, err
	case pl.Matchers == nil:
		return Platforms{}, invalid("/matchers", "must be there: the list of matchers, which may be empty")
	}
	return pl, pl.checkGroups()
}

// checkGroups refuses names that could mean two things.
func (pl Platforms) checkGroups() error {
	for _, name := range slices.Sorted(maps.Keys(pl.Groups)) {
		if pl.matched(name) {
			return invalid(pointer("/groups", name), quoted(name)+" is a platform of a matcher already; a group needs a name of its own")
		}
		for i, member := range pl.Groups[name] {
			if _, ok := pl.Groups[member]; ok {
				return invalid(pointer("/groups", name)+"/"+strconv.Itoa(i), quoted(member)+" is a group; a group has platforms only")
			}
		}
	}
	return nil
}

// Named returns the platforms that a name stands for: a group's members, or the platform itself.
func (pl Platforms) Named(name string) []string {
	if members, ok := pl.Groups[name]; ok {
		return members
	}
	return []string{name}
}

func (pl Platforms) matched(platform string) bool {
	return platform == unknownPlatform || slices.ContainsFunc(pl.Matchers, func(m Matcher) bool { return m.Platform == platform })
}

// Warnings names the members of groups that no matcher gives. Devices may be registered with such a platform, so it is no error.
func (pl Platforms) Warnings() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(pl.Groups)) {
		for i, member := range pl.Groups[name] {
			if !pl.matched(member) {
				out = append(out, unmatched(pointer("/groups", name)+"/"+strconv.Itoa(i), member))
			}
		}
	}
	return out
}

// RuleWarnings names the platforms of a rule that are no group and that no matcher gives.
func (pl Platforms) RuleWarnings(r Rule) []string {
	known := pl.known
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.MaxPerPlatform.Value)) {
		if !known(name) {
			out = append(out, unmatched(pointer("/"+fieldMaxPerPlatform, name), name))
		}
	}
	for i, set := range r.Exclusive.Value {
		for j, name := range set {
			if !known(name) {
				out = append(out, unmatched("/"+fieldExclusive+"/"+strconv.Itoa(i)+"/"+strconv.Itoa(j), name))
			}
		}
	}
	return out
}

// NameWarnings is RuleWarnings of one name, that is at a place.
func (pl Platforms) NameWarnings(at, name string) []string {
	if pl.known(name) {
		return nil
	}
	return []string{unmatched(at, name)}
}

func (pl Platforms) known(name string) bool {
	_, group := pl.Groups[name]
	return group || pl.matched(name)
}

func unmatched(at, platform string) string {
	return at + ": no matcher gives the platform " + quoted(platform) + "; only devices that are registered with it have it."
}

// shippedMatchers are read only. A resource's first word speaks before a later one, and the resource before the software's name.
// Short words (ios, mac, win, bot) are matched between separators only: "kiosk", "machine" and "winnie" are none of them.
var shippedMatchers = Matchers{
	{Platform: "android", Resource: "android*"},
	{Platform: "ios", Resource: "iphone*"},
	{Platform: "ios", Resource: "ipad*"},
	{Platform: "ios", Resource: "ipod*"},
	{Platform: "ios", Resource: "ios"},
	{Platform: "ios", Resource: "ios-*"},
	{Platform: "ios", Resource: "ios_*"},
	{Platform: "ios", Resource: "ios.*"},
	{Platform: "ios", Resource: "ios/*"},
	{Platform: "ios", Resource: "ios?"},
	{Platform: "ios", Resource: "ios??"},
	{Platform: "web", Resource: "web*"},
	{Platform: "web", Resource: "browser*"},
	{Platform: "web", Resource: "converse*"},
	{Platform: "web", Resource: "candy*"},
	{Platform: "web", Resource: "jsxc*"},
	{Platform: "web", Resource: "movim*"},
	{Platform: "web", Resource: "strophe*"},
	{Platform: "desktop", Resource: "desktop*"},
	{Platform: "desktop", Resource: "laptop*"},
	{Platform: "desktop", Resource: "notebook*"},
	{Platform: "desktop", Resource: "workstation*"},
	{Platform: "desktop", Resource: "windows*"},
	{Platform: "desktop", Resource: "win"},
	{Platform: "desktop", Resource: "win-*"},
	{Platform: "desktop", Resource: "win_*"},
	{Platform: "desktop", Resource: "win32*"},
	{Platform: "desktop", Resource: "win64*"},
	{Platform: "desktop", Resource: "macos*"},
	{Platform: "desktop", Resource: "macbook*"},
	{Platform: "desktop", Resource: "imac*"},
	{Platform: "desktop", Resource: "mac"},
	{Platform: "desktop", Resource: "mac-*"},
	{Platform: "desktop", Resource: "mac_*"},
	{Platform: "desktop", Resource: "linux*"},
	{Platform: "desktop", Resource: "pc"},
	{Platform: "desktop", Resource: "pc-*"},
	{Platform: "desktop", Resource: "pc_*"},
	{Platform: "bot", Resource: "bot"},
	{Platform: "bot", Resource: "bot?"},
	{Platform: "bot", Resource: "bot-*"},
	{Platform: "bot", Resource: "bot_*"},
	{Platform: "bot", Resource: "bot.*"},
	{Platform: "bot", Resource: "bot/*"},

	{Platform: "android", Resource: "*android*"},
	{Platform: "ios", Resource: "*iphone*"},
	{Platform: "ios", Resource: "*ipad*"},
	{Platform: "ios", Resource: "*-ios"},
	{Platform: "ios", Resource: "*-ios-*"},
	{Platform: "ios", Resource: "*_ios"},
	{Platform: "ios", Resource: "*_ios_*"},
	{Platform: "ios", Resource: "*.ios"},
	{Platform: "ios", Resource: "*.ios.*"},
	{Platform: "ios", Resource: "*/ios"},
	{Platform: "web", Resource: "*-web"},
	{Platform: "web", Resource: "*-web-*"},
	{Platform: "web", Resource: "*_web"},
	{Platform: "web", Resource: "*_web_*"},
	{Platform: "web", Resource: "*.web"},
	{Platform: "web", Resource: "*.web.*"},
	{Platform: "web", Resource: "*/web"},
	{Platform: "web", Resource: "*browser*"},
	{Platform: "desktop", Resource: "*desktop*"},
	{Platform: "desktop", Resource: "*laptop*"},
	{Platform: "desktop", Resource: "*windows*"},
	{Platform: "desktop", Resource: "*macos*"},
	{Platform: "desktop", Resource: "*macbook*"},
	{Platform: "desktop", Resource: "*linux*"},
	{Platform: "desktop", Resource: "*-mac"},
	{Platform: "desktop", Resource: "*-win"},
	{Platform: "desktop", Resource: "*-pc"},
	{Platform: "bot", Resource: "*bot"},
	{Platform: "bot", Resource: "*-bot-*"},

	{Platform: "android", Resource: "conversations*"},
	{Platform: "android", Resource: "cheogram*"},
	{Platform: "android", Resource: "quicksy*"},
	{Platform: "android", Resource: "monocles*"},
	{Platform: "android", Resource: "yaxim*"},
	{Platform: "ios", Resource: "monal*"},
	{Platform: "ios", Resource: "siskin*"},
	{Platform: "ios", Resource: "chatsecure*"},
	{Platform: "desktop", Resource: "gajim*"},
	{Platform: "desktop", Resource: "dino"},
	{Platform: "desktop", Resource: "dino.*"},
	{Platform: "desktop", Resource: "dino-*"},
	{Platform: "desktop", Resource: "psi"},
	{Platform: "desktop", Resource: "psi+*"},
	{Platform: "desktop", Resource: "psi-*"},
	{Platform: "desktop", Resource: "psi.*"},
	{Platform: "desktop", Resource: "pidgin*"},
	{Platform: "desktop", Resource: "profanity*"},
	{Platform: "desktop", Resource: "beagleim*"},
	{Platform: "desktop", Resource: "adium*"},

	{Platform: "android", Client: "*android*"},
	{Platform: "ios", Client: "*iphone*"},
	{Platform: "ios", Client: "*ios"},
	{Platform: "web", Client: "*web*"},
	{Platform: "web", Client: "converse*"},
	{Platform: "web", Client: "movim*"},
	{Platform: "web", Client: "jsxc*"},
	{Platform: "android", Client: "conversations*"},
	{Platform: "android", Client: "cheogram*"},
	{Platform: "android", Client: "quicksy*"},
	{Platform: "android", Client: "monocles*"},
	{Platform: "android", Client: "yaxim*"},
	{Platform: "ios", Client: "monal*"},
	{Platform: "ios", Client: "siskin*"},
	{Platform: "ios", Client: "chatsecure*"},
	{Platform: "desktop", Client: "*desktop*"},
	{Platform: "desktop", Client: "gajim*"},
	{Platform: "desktop", Client: "dino*"},
	{Platform: "desktop", Client: "psi*"},
	{Platform: "desktop", Client: "pidgin*"},
	{Platform: "desktop", Client: "profanity*"},
	{Platform: "desktop", Client: "beagle*"},
	{Platform: "desktop", Client: "swift*"},
	{Platform: "bot", Client: "*bot"},
	{Platform: "bot", Client: "slixmpp*"},
	{Platform: "bot", Client: "errbot*"},

	// What a client told when it was asked (XEP-0092, XEP-0030): "Name (operating system) client/type".
	{Platform: "bot", Client: "*bot (*"},
	{Platform: "bot", Client: "*client/bot"},
	{Platform: "web", Client: "*client/web"},
	{Platform: "ios", Client: "*(ios*"},
	{Platform: "ios", Client: "*(ipados*"},
	{Platform: "desktop", Client: "*(*windows*)*"},
	{Platform: "desktop", Client: "*(mac*"},
	{Platform: "desktop", Client: "*(os x*"},
	{Platform: "desktop", Client: "*(darwin*"},
	{Platform: "desktop", Client: "*(*linux*)*"},
	{Platform: "desktop", Client: "*(*bsd*)*"},
	{Platform: "desktop", Client: "*client/pc"},
	{Platform: "desktop", Client: "*client/console"},
}

// PlatformName reports whether a platform may be called so: 1 to 64 printable characters.
func PlatformName(name string) bool { return platformName(name) }

// GroupName reports whether a group of accounts may be called so: 1 to 64 printable characters.
func GroupName(name string) bool { return platformName(name) }
