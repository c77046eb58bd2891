package clients

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A block of code in docs/clients.md under the name of a file is in that file, word for word but for its indentation. A line "…" stands for what is left out.
var block = regexp.MustCompile("(?m)^\\[`(.+)`\\]\\(\\.\\./internal/clients/(.+)\\):\n\n```[a-z]+\n((?s:.*?))^```$")

// What docs/clients.md shows is what is tested.
func TestDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		name, path, code := m[1], m[2], m[3]
		if name != path {
			t.Errorf("%s is a link to %s", name, path)
		}
		shown = append(shown, path)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		lines := strings.Split(string(text), "\n")
		for part := range strings.SplitSeq(code, "…\n") {
			part := undented(strings.Split(strings.Trim(part, "\n"), "\n"))
			var ok bool
			if lines, ok = behind(lines, part); !ok {
				t.Errorf("%s has not, or not there:\n%s", path, strings.Join(part, "\n"))
				break
			}
		}
	}
	slices.Sort(shown)
	if want := []string{"aioxmpp/client.py", "mellium/device.go", "slixmpp/client.py", "smack/Client.java", "strophe/client.js", "xmppjs/client.mjs"}; !slices.Equal(slices.Compact(shown), want) {
		t.Errorf("it shows code of %q, want %q", shown, want)
	}
}

// behind returns what follows the part.
func behind(lines, part []string) (rest []string, ok bool) {
	for i := range lines {
		if end := i + len(part); end <= len(lines) && slices.Equal(undented(lines[i:end]), part) {
			return lines[end:], true
		}
	}
	return nil, false
}

// undented are lines without the indentation that all of them have.
func undented(lines []string) []string {
	least := -1
	for _, l := range lines {
		if rest := strings.TrimLeft(l, " \t"); rest != "" && (least < 0 || len(l)-len(rest) < least) {
			least = len(l) - len(rest)
		}
	}
	var out []string
	for _, l := range lines {
		out = append(out, strings.TrimRight(l[min(max(least, 0), len(l)):], " \t"))
	}
	return out
}
