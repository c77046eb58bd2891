package people

import (
	"errors"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"github.com/bindgate/bindgate/internal/jid"
)

// maxName is in characters.
const maxName = 64

// ErrName is what is wrong with a name that cannot be one.
var ErrName = errors.New("a name has 1 to 64 letters, digits and signs, and no space")

// Name returns a name in its one form (RFC 8265 §3.3, UsernameCaseMapped): Ada, ＡＤＡ and ada are one. ErrName.
func Name(s string) (string, error) {
	if len(s) > maxName*utf8.UTFMax || !utf8.ValidString(s) {
		return "", ErrName
	}
	name, err := precis.UsernameCaseMapped.String(s)
	if err != nil || name == "" || utf8.RuneCountInString(name) > maxName {
		return "", ErrName
	}
	if again, err := precis.UsernameCaseMapped.String(name); err != nil || again != name { // RFC 8264 §7: not every text settles at once
		return "", ErrName
	}
	return name, nil
}

// maxDomains bounds what one user is limited to.
const maxDomains = 100

// ErrDomains is what is wrong with a list of domains that is empty or too long.
var ErrDomains = errors.New("a user is limited to 1 to 100 domains, or to none")

// Domains prepares the domains that a user is to be limited to. ErrDomains, *jid.Error.
func Domains(list []string) ([]string, error) {
	seen := map[string]bool{}
	var prepared []string
	for _, s := range list {
		d, err := jid.Domain(s)
		if err != nil {
			return nil, err
		}
		if !seen[d] {
			prepared = append(prepared, d)
		}
		seen[d] = true
	}
	if len(prepared) == 0 || len(prepared) > maxDomains {
		return nil, ErrDomains
	}
	return prepared, nil
}
