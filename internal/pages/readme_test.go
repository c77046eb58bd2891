package pages

import (
	"flag"
	"os"
	"path/filepath"

	"github.com/bindgate/bindgate/internal/browser"
)

var readme = flag.String("readme", "", "a directory, to write the pictures of the README into")

// readmePictures takes the pictures that the README shows.
func (s *scene) readmePictures() {
	p := s.login(s.t, "admin", browser.Visitor{})
	for _, shot := range []struct {
		name string
		browser.Visitor
		show func(*browser.Page)
	}{
		{"overview", browser.Visitor{Width: 1440, Height: 1230}, func(p *browser.Page) { p.Go("/dashboard/overview?range=24h") }},
		{"account", browser.Visitor{Width: 1440, Height: 760, Dark: true}, func(p *browser.Page) { p.Go(at("/account", "jid", s.account)) }},
		{"preview", browser.Visitor{Width: 1440, Height: 960}, func(p *browser.Page) { answers["rules-review"](s, p) }},
		{"phone", browser.Visitor{Width: 390, Height: 844, Dark: true}, func(p *browser.Page) { p.Go("/dashboard/overview") }},
	} {
		p.Become(shot.Visitor)
		shot.show(p)
		p.Until("the page is drawn", `!document.body.dataset.stream || document.getElementById('fresh').classList.contains('on')`)
		file := filepath.Join(*readme, shot.name+".png")
		p.View(file)
		if i, err := os.Stat(file); err != nil || i.Size() > 150_000 {
			s.t.Errorf("%s: %v, %v; want 150 kB at most", file, i, err)
		}
	}
}
