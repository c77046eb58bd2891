package dashboard

import (
	"net/http"
	"strings"
)

// Page is a page that may be asked for by its address alone, or about what its query names.
type Page struct {
	Path  string
	Least Role
}

// Pages are all of them, for who looks at each.
func Pages() []Page {
	var list []Page
	for _, r := range routes() {
		if r.method == http.MethodGet && !strings.HasPrefix(r.path, "/login/") { // steps on the way to the provider and back
			list = append(list, Page{Root + r.path, r.least})
		}
	}
	return list
}
