package rules

// unknownPlatform is the platform of a device that nothing is known of.
const unknownPlatform = "unknown"

// UnknownPlatform is the platform of a device that no matcher fits.
const UnknownPlatform = unknownPlatform

// Matcher tells a platform by what a client says of itself. All fields that are given have to match; an empty one is not given.
// Patterns are globs: * for any characters, ? for one, letters of either case alike.
type Matcher struct {
	Platform string `json:"platform"`
	Resource string `json:"resource,omitempty"`
	Client   string `json:"client,omitempty"` // software name
}

// Match reports whether the matcher fits. One without any pattern fits nothing.
func (m Matcher) Match(resource, client string) bool {
	if m.Resource == "" && m.Client == "" {
		return false
	}
	return (m.Resource == "" || matchGlob(m.Resource, resource)) && (m.Client == "" || matchGlob(m.Client, client))
}

// Matchers is an ordered list: the first that fits decides.
type Matchers []Matcher

// Platform returns the platform of the first matcher that fits, else "unknown".
func (ms Matchers) Platform(resource, client string) string {
	for _, m := range ms {
		if m.Match(resource, client) {
			return m.Platform
		}
	}
	return unknownPlatform
}

// Platform tells a device's platform by the shipped matchers: "ios", "android", "web", "desktop", "bot", else "unknown".
func Platform(resource, client string) string {
	return shippedMatchers.Platform(resource, client)
}

// ShippedMatchers returns the matchers that Platform goes by.
func ShippedMatchers() Matchers { return append(Matchers(nil), shippedMatchers...) }

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
