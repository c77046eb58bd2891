package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/store"
)

func TestRolesOfATableAreThoseOfAFlag(t *testing.T) {
	t.Parallel()
	want := map[string]store.Role{"ops": store.RoleAdmin, "cn=helpdesk,dc=example": store.RoleSupport, `a\b=c`: store.RoleViewer, "*": store.RoleViewer}
	table := map[string]any{}
	for name, role := range want {
		table[name] = string(role)
	}
	text, err := rolesText(table)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseRoles(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", text, diff)
	}
}
