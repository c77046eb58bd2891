package main

import (
	"net/http"
	"testing"
)

// Whether cookies are for https alone does not hang on the word of a proxy that nobody has named.
func TestThePublicURLMakesCookiesSecure(t *testing.T) {
	t.Parallel()
	for public, want := range map[string]bool{"": false, "http://bindgate.example.org": false, "https://bindgate.example.org": true, "HTTPS://bindgate.example.org/": true} {
		cfg, err := loadConfig(&settingFlags{}, func(name string) string {
			return map[string]string{"BINDGATE_PUBLIC_URL": public, "BINDGATE_EMBEDDED": "true"}[name]
		})
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{RemoteAddr: "192.0.2.1:5", Header: http.Header{}} // a proxy that is not trusted, and says nothing
		if got := cfg.secure()(r); got != want {
			t.Errorf("public URL %q: secure %v, want %v", public, got, want)
		}
	}
}
