package pages

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/bindgate/bindgate/internal/browser"
)

var readme = flag.String("readme", "", "a directory, to write the pictures of the README into")

// TestReadmePictures takes the pictures that the README shows.
func TestReadmePictures(t *testing.T) {
	if *readme == "" {
		t.Skip("takes pictures for -readme alone")
	}
	s := play(t)
	wide, phone := browser.Visitor{Width: 1280, Height: 860}, browser.Visitor{Width: 390, Height: 844, Dark: true}
	dark := wide
	dark.Dark = true
	p := s.login(t, "admin", wide)
	for _, shot := range []struct {
		name string
		browser.Visitor
		show func(*browser.Page)
	}{
		{"overview", wide, func(p *browser.Page) { p.Go("/dashboard") }},
		{"account", dark, func(p *browser.Page) { p.Go(at("/account", "jid", s.account)) }},
		{"preview", wide, func(p *browser.Page) { answers["rules-review"](s, p) }},
		{"phone", phone, func(p *browser.Page) { p.Go("/dashboard") }},
	} {
		p.Become(shot.Visitor)
		shot.show(p)
		p.Until("the page is drawn", `!document.body.dataset.stream || document.getElementById('fresh').classList.contains('on')`)
		file := filepath.Join(*readme, shot.name+".png")
		p.View(file)
		if i, err := os.Stat(file); err != nil || i.Size() > 150_000 {
			t.Errorf("%s: %v, %v; want 150 kB at most", file, i, err)
		}
	}
}
