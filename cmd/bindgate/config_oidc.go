package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/bindgate/bindgate/internal/signon"
	"github.com/bindgate/bindgate/store"
)

// signOnPath is where the provider sends people back to, below the public URL.
const signOnPath = "/dashboard/login/callback"

// signOn reads by whom people log in to the dashboard; c.SignOn is nil if by nobody.
func (c *config) signOn(all settings) error {
	if s := all["public_url"]; s.value != "" {
		u, err := url.Parse(s.value)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
			return s.errorf("%q is not the address of a server: it looks like https://bindgate.example.org, without a path", s.value)
		}
		c.PublicURL = u.Scheme + "://" + u.Host
	}
	issuer := all["oidc_issuer"]
	if issuer.value == "" {
		for _, name := range []string{"oidc_client_id", "oidc_client_secret_file", "oidc_scopes", "oidc_role_claim", "oidc_roles", "oidc_domains_claim"} {
			if s := all[name]; s.value != "" {
				return s.errorf("without a provider it says nothing: set --oidc-issuer (BINDGATE_OIDC_ISSUER) to the provider's URL")
			}
		}
		return nil
	}
	if err := signon.CheckURL(issuer.value); err != nil {
		return issuer.errorf("%w", err)
	}
	if all["oidc_client_id"].value == "" {
		return issuer.errorf("a client id is needed too: --oidc-client-id (BINDGATE_OIDC_CLIENT_ID), as the provider knows this bindgate")
	}
	if c.PublicURL == "" {
		return issuer.errorf("the address of this bindgate is needed too, for the provider to send people back to: --public-url (BINDGATE_PUBLIC_URL), such as https://bindgate.example.org; register %s below it there", signOnPath)
	}
	cfg := &signon.Config{Issuer: issuer.value, ClientID: all["oidc_client_id"].value, RedirectURL: c.PublicURL + signOnPath, Scopes: strings.Fields(all.or("oidc_scopes", "profile email"))}
	if s := all["oidc_client_secret_file"]; s.value != "" {
		sec, err := readSecret(s.value)
		if err != nil {
			return s.errorf("%w", err)
		}
		cfg.ClientSecret = signon.Secret(sec)
	}
	cfg.Roles = signon.Roles{Claim: all["oidc_role_claim"].value, DomainsClaim: all["oidc_domains_claim"].value}
	roles := all["oidc_roles"]
	if roles.value == "" {
		return issuer.errorf("nobody has a role: say who may what with --oidc-roles (BINDGATE_OIDC_ROLES), such as ops=admin,helpdesk=support, by the names in the claim %s", all.or("oidc_role_claim", "groups"))
	}
	var err error
	if cfg.Roles.Of, err = parseRoles(roles.value); err != nil {
		return roles.errorf("%w", err)
	}
	c.SignOn = cfg
	return nil
}

// provider is by whom people log in to the dashboard; nil: nobody.
func (c *config) provider() (*signon.Provider, error) {
	if c.SignOn == nil {
		return nil, nil //nolint:nilnil // no provider is a way to run
	}
	return signon.New(*c.SignOn)
}

// parseRoles reads name=role, separated by commas. A comma or a backslash in a name has a backslash before it.
func parseRoles(text string) (map[string]store.Role, error) {
	roles := map[string]store.Role{}
	for _, entry := range splitEscaped(text) {
		at := strings.LastIndexByte(entry, '=')
		if at < 1 {
			return nil, fmt.Errorf("%q is not a name and a role: it looks like ops=admin", entry)
		}
		name, role := strings.TrimSpace(entry[:at]), store.Role(strings.TrimSpace(entry[at+1:]))
		if !store.RoleAdmin.Covers(role) {
			return nil, fmt.Errorf("%s: there is no role %q; the roles are viewer, support, admin", name, role)
		}
		if _, twice := roles[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		roles[name] = role
	}
	return roles, nil
}

func splitEscaped(text string) (list []string) {
	var b strings.Builder
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			b.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == ',':
			list = append(list, b.String())
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(list, b.String())
}

// rolesText is a table of names and roles in the file as a flag would have it.
func rolesText(table map[string]any) (string, error) {
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
	var list []string
	for name, v := range table {
		role, ok := v.(string)
		if !ok {
			return "", fmt.Errorf("%s: must be a role in quotes, not %s", name, kind(v))
		}
		list = append(list, escape.Replace(name)+"="+role)
	}
	if len(list) == 0 {
		return "", errors.New("the table is empty: it has lines such as ops = \"admin\"")
	}
	return strings.Join(list, ","), nil
}
