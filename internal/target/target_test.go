package target_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/target"
)

func TestControl(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string]bool{
		"93.184.215.14:443": true, "1.1.1.1:8443": true, "100.63.255.255:443": true, "100.128.0.1:443": true, "172.15.0.1:443": true, "172.32.0.1:443": true,
		"[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443": true, "[::ffff:1.1.1.1]:443": true, "[64:ff9b::101:101]:443": true,

		"0.0.0.0:443": false, "0.1.2.3:443": false, "10.0.0.1:443": false, "127.0.0.1:443": false, "127.255.255.254:1": false, "169.254.169.254:80": false,
		"172.16.0.1:443": false, "172.31.255.255:443": false, "192.168.1.1:443": false, "192.0.0.1:443": false, "192.0.2.1:443": false, "198.18.0.1:443": false,
		"198.51.100.1:443": false, "203.0.113.1:443": false, "100.64.0.1:443": false, "100.127.255.255:443": false, "224.0.0.1:443": false, "239.255.255.255:443": false,
		"240.0.0.1:443": false, "255.255.255.255:443": false, "192.88.99.1:443": false,
		"[::]:443": false, "[::1]:443": false, "[::127.0.0.1]:443": false, "[::ffff:127.0.0.1]:443": false, "[::ffff:10.0.0.1]:443": false, "[::ffff:169.254.169.254]:80": false,
		"[fe80::1]:443": false, "[fe80::1%eth0]:443": false, "[fc00::1]:443": false, "[fd12:3456:789a::1]:443": false, "[fec0::1]:443": false, "[ff02::1]:443": false,
		"[2001:db8::1]:443": false, "[2002:7f00:1::]:443": false, "[2001::1]:443": false, "[64:ff9b::7f00:1]:443": false, "[64:ff9b::a9fe:a9fe]:80": false,
		"[64:ff9b:1::1]:443": false, "[100::1]:443": false, "[3fff::1]:443": false, "[5f00::1]:443": false,
	} {
		if err := (target.Policy{}).Control("tcp", address, nil); (err == nil) != allowed || err != nil && !errors.Is(err, target.ErrPrivate) {
			t.Errorf("%s: %v", address, err)
		}
		if err := (target.Policy{Private: true}).Control("tcp", address, nil); err != nil {
			t.Errorf("%s where private ones are allowed: %v", address, err)
		}
	}
	if err := (target.Policy{}).Control("tcp", "localhost:443", nil); err == nil {
		t.Error("a name is no address")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]struct{ public, private bool }{
		"https://backend.example.org/bindgate?x=1": {true, true},
		"https://backend.example.org:8443":         {true, true},
		"https://1.1.1.1/":                         {true, true},
		"http://backend.example.org/":              {false, true},
		"https://127.0.0.1/":                       {false, true},
		"https://[::1]:8080/":                      {false, true},
		"https://[::ffff:10.0.0.1]/":               {false, true},
		"https://user:pw@example.org/":             {},
		"https://example.org/#part":                {},
		"https://example.org/#":                    {},
		"https://example.org:0/":                   {},
		"https://example.org:65536/":               {},
		"https://example.org:/":                    {},
		"https:///path":                            {},
		"https:example.org":                        {},
		"https://":                                 {},
		"ftp://example.org/":                       {},
		"file:///etc/passwd":                       {},
		"gopher://example.org/":                    {},
		"//example.org/":                           {},
		"example.org":                              {},
		"":                                         {},
		"https://exa mple.org/":                    {},
		"https://example.org/\n":                   {},
		"https://bücher.example/":                  {},
		"https://example.org/" + strings.Repeat("x", target.MaxURL): {},
	} {
		if err := (target.Policy{}).Check(url); (err == nil) != want.public {
			t.Errorf("Check(%.60q) = %v", url, err)
		}
		if err := (target.Policy{Private: true}).Check(url); (err == nil) != want.private {
			t.Errorf("Check(%.60q) where private ones are allowed = %v", url, err)
		}
	}
}
