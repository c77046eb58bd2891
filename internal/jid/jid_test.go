package jid_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/jid"
)

func TestParse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", jid.MaxPart)
	for _, c := range []struct{ in, want string }{
		{"ada@example.org", "ada@example.org"},
		{"ADA@Example.ORG/Phone 1", "ada@example.org/Phone 1"},
		{"straße@example.org", "strasse@example.org"},
		{"a♥b@example.org", "a♥b@example.org"},
		{"😀@example.org", "😀@example.org"},
		{"ﬁsch@EXAMPLE.org", "fisch@example.org"},
		{"ａｄａ@example.org", "ada@example.org"},
		{"Ⅷ@example.org/Ⅷ", "viii@example.org/VIII"},
		{"ada@MÜNCHEN.example", "ada@münchen.example"},
		{"example.org", "example.org"},
		{"ada@example.org.", "ada@example.org"},
		{"ada@[::1]", "ada@[::1]"},
		{"ada@example.org/a/b@c", "ada@example.org/a/b@c"},
		{`ada\40corp@example.org`, `ada\40corp@example.org`},
		{"אב@example.org", "אב@example.org"},
		{long + "@example.org", long + "@example.org"},
	} {
		got, err := jid.Parse(c.in)
		if err != nil || got.String() != c.want {
			t.Errorf("Parse(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for in, says := range map[string]string{
		"":                       "empty",
		"@example.org":           "localpart is empty",
		"ada@":                   "domain is empty",
		"ada@.":                  "domain is empty",
		"ada@example.org/":       "resource is empty",
		"/phone":                 "domain is empty",
		"a b@example.org":        "a space",
		"a:b@example.org":        `":"`,
		"a@b@example.org":        `"@"`,
		"ada@exa mple.org":       "a space",
		"ada@exa\x00mple.org":    "U+0000",
		"a\x00@example.org":      "U+0000",
		"ada@example.org/\x01":   "U+0001",
		"ada@exa:mple":           `":"`,
		"אa@example.org":         "right-to-left",
		"\u00ad@example.org":     "invisible",
		"a\ufffd@example.org":    "U+FFFD",
		"\xff@example.org":       "UTF-8",
		"a\u202eb@example.org":   "U+202E",
		"ada@example.org/\ue000": "U+E000",
		strings.Repeat("a", jid.MaxPart+1) + "@example.org": "1024 bytes",
		strings.Repeat("a", 100000):                         "100000 bytes",
	} {
		got, err := jid.Parse(in)
		var e *jid.Error
		if !errors.As(err, &e) || !strings.Contains(e.Problem, says) {
			t.Errorf("Parse(%.40q) = %q, %v; want an error with %q", in, got, err, says)
		}
	}
}

func TestParseAccount(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{"ada@example.org": true, "ada@example.org/phone": false, "example.org": false} {
		if _, err := jid.ParseAccount(in); (err == nil) != ok {
			t.Errorf("ParseAccount(%q): %v", in, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ada@example.org/x", "straße@b", "a♥b@c", "@", "/", "a@b@c", "אב@ג", "a\u0301@b", "\U0002F868@b", "[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j, err := jid.Parse(s)
		if err != nil {
			var e *jid.Error
			if !errors.As(err, &e) || e.Problem == "" {
				t.Fatalf("Parse(%q): %v is no sentence", s, err)
			}
			return
		}
		if j.Domain == "" || len(j.Local) > jid.MaxPart || len(j.Domain) > jid.MaxPart || len(j.Resource) > jid.MaxPart {
			t.Fatalf("Parse(%q) = %+v: a part is out of bounds", s, j)
		}
		if strings.ContainsAny(j.Local, "@/ \x00") || strings.ContainsAny(j.Domain, "@/ \x00") || strings.Contains(j.Resource, "\x00") {
			t.Fatalf("Parse(%q) = %+v holds what it must not", s, j)
		}
	})
}
