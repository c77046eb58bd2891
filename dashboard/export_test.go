package dashboard

// Route is an entry of the table of routes, for tests.
type Route struct {
	Method, Path string
	Least        Role
}

// Routes are all of them, for tests.
func Routes() []Route {
	var list []Route
	for _, r := range routes() {
		list = append(list, Route{r.method, Root + r.path, r.least})
	}
	return list
}

// Say returns a text, for tests that look for it on a page.
func (d *Dashboard) Say(lang, key string, args ...any) any { return d.words.say(lang, key, args...) }
