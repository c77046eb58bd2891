package store_test

import (
	"slices"
	"testing"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// The languages of an account come with its record, also when that is made: its stream's, its own, its domain's.
func TestLanguagesOfARecord(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	if err := st.SetDomainLang(t.Context(), "example.org", "ja", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	langs := func(jid string) (out []string) {
		t.Helper()
		want := []store.Want{{Key: store.KeyOf(jid), JID: jid, Create: true}}
		if _, err := st.Batch(t.Context(), store.Fence{}, store.WaitBusy, want, func(_ int, r *store.Record) { out = r.Langs("en"); r.Touch() }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	wants := func(jid string, want ...string) {
		t.Helper()
		if got := langs(jid); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", jid, got, want)
		}
	}
	wants("ada@example.org", "en", "", "ja") // is made
	wants("ada@example.org", "en", "", "ja")
	wants("bob@example.com", "en", "", "")
	if err := st.SetAccountLang(t.Context(), "ada@example.org", "zh", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	wants("ada@example.org", "en", "zh", "ja")
	if err := st.SetDomainLang(t.Context(), "example.org", "", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	wants("ada@example.org", "en", "zh", "")
	if own, err := st.FindOwn(t.Context(), store.KeyOf("ada@example.org"), "", 1); err != nil || !slices.Equal(own.Langs, []string{"zh", ""}) {
		t.Errorf("own: %+v, %v", own, err)
	}
}
