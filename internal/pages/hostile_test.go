package pages

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// What a client calls itself is shown as what it is, and does nothing: not in a table, not in a question, not live.
func TestHostileResources(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.login(t, "support", browser.Visitor{})
	p.Go("/dashboard/sessions")
	p.Until("the page is live", `document.getElementById('fresh').classList.contains('on')`)
	resources := []string{
		`<img src=x onerror=document.title='owned'>`, `"><script>document.title='owned'</script>`, `javascript:document.title='owned'`, `{{.}}${1}&lt;b&gt;`,
		strings.Repeat("W", 1023), strings.Repeat("界", 341),
	}
	for i, r := range resources {
		s.device(fmt.Sprintf("user%d", i), r, xmppclient.Options{Software: r, OS: r})
	}
	// Prosody takes no resource that turns the direction; another server may.
	s.device("user99", "plain", xmppclient.Options{})
	s.exec(`update sessions set resource = 'rtl ' || chr(8238) || 'gnp.exe' || chr(8294) || ' end', client = chr(8238) || 'tneilc' where resource = 'plain'`)
	p.Until("all are in the table", fmt.Sprintf(`document.querySelectorAll('#sessions tbody tr').length === %d`, len(resources)+1))
	look := func(where string) {
		t.Helper()
		if title := browser.Eval[string](p, `document.title`); strings.Contains(title, "owned") {
			t.Fatalf("%s: a name has run a script", where)
		}
		if n := browser.Eval[int](p, `document.querySelectorAll('main img, main script').length`); n != 0 {
			t.Errorf("%s: %d elements came out of names", where, n)
		}
		if browser.Eval[bool](p, `/[\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText)`) {
			t.Errorf("%s: a character that turns the direction is in the text", where)
		}
		p.Narrow()
		p.Quiet()
	}
	look("the table, live")
	p.Go("/dashboard/sessions")
	look("the table")
	p.Become(browser.Visitor{Width: 390, Height: 844})
	p.Go("/dashboard/sessions")
	look("the table on a phone")
	for i := range resources {
		p.Go("/dashboard/sessions?q=" + fmt.Sprintf("user%d", i))
		p.Click(`a[href^="/dashboard/sessions/kick?"]`)
		p.Wait(`dialog[open] form.ask`)
		look("the question")
	}
}
