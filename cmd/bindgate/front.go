package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/dashboard"
)

// front gives the dashboard's paths to it and all others to the API, as they came: http.ServeMux would clean them, and a JID may have "..", "//" or "%2F" in it.
func front(rest, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == dashboard.Root || strings.HasPrefix(path, dashboard.Root+"/"):
			pages.ServeHTTP(w, r)
		case path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			http.Redirect(w, r, dashboard.Root, http.StatusFound)
		default:
			rest.ServeHTTP(w, r)
		}
	})
}

// asUser makes calls of the API a dashboard user's.
func asUser(ctx context.Context, c dashboard.Caller) context.Context {
	return api.As(ctx, api.Caller(c))
}
