package browser

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Picture writes the whole page, down to its end, as a PNG.
func (p *Page) Picture(file string) {
	p.t.Helper()
	// The window is made as high as the page: what is fixed to its edges is then at the page's.
	high := p.visitor
	high.Height = Eval[int64](p, `Math.max(innerHeight, document.documentElement.scrollHeight)`)
	was := p.visitor
	p.resize(high)
	p.write(file, p.capture())
	p.resize(was)
}

// View writes what the window shows as a PNG of 256 colours, which is a third of the size.
func (p *Page) View(file string) {
	p.t.Helper()
	full, err := png.Decode(bytes.NewReader(p.capture()))
	if err != nil {
		p.fatal("read a picture", err)
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, fewColours(full)); err != nil {
		p.fatal("write a picture", err)
	}
	p.write(file, b.Bytes())
}

func (p *Page) resize(v Visitor) {
	p.t.Helper()
	p.visitor = v
	p.run("resize the window", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		return send(ctx, emulation.SetDeviceMetricsOverride, p.window())
	}))
}

func (p *Page) capture() []byte {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng})
	if err != nil {
		p.fatal("take a picture", err)
	}
	return shot.Data
}

func (p *Page) write(file string, picture []byte) {
	p.t.Helper()
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, picture, 0o644) //nolint:gosec // a picture for everyone
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// fewColours shows a picture in its 256 most frequent colours, of which some are alike: those are told apart by the upper bits of each part alone.
func fewColours(full image.Image) *image.Paletted {
	count := map[color.RGBA]int{}
	first := map[[3]uint8]color.RGBA{}
	all := full.Bounds()
	at := func(x, y int) (color.RGBA, [3]uint8) {
		c := color.RGBAModel.Convert(full.At(x, y)).(color.RGBA) //nolint:forcetypeassert // of that model
		return c, [3]uint8{c.R >> 2, c.G >> 2, c.B >> 2}
	}
	for y := all.Min.Y; y < all.Max.Y; y++ {
		for x := all.Min.X; x < all.Max.X; x++ {
			c, like := at(x, y)
			if _, ok := first[like]; !ok {
				first[like] = c
			}
			count[first[like]]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return cmp.Compare(count[b], count[a]) })
	palette := color.Palette{}
	for _, c := range colours[:min(256, len(colours))] {
		palette = append(palette, c)
	}
	few := image.NewPaletted(all, palette)
	index := map[color.RGBA]uint8{}
	for y := all.Min.Y; y < all.Max.Y; y++ {
		for x := all.Min.X; x < all.Max.X; x++ {
			c, _ := at(x, y)
			i, ok := index[c]
			if !ok {
				i = uint8(palette.Index(c)) //nolint:gosec // at most 256 of them
				index[c] = i
			}
			few.SetColorIndex(x, y, i)
		}
	}
	return few
}

// Narrow fails the test if the page itself can be scrolled sideways, and says what sticks out.
func (p *Page) Narrow() {
	p.t.Helper()
	// A phone zooms out to show all of a page that is too wide: its innerWidth tells nothing.
	wide := Eval[[]string](p, fmt.Sprintf(`(width => {
		const all = document.scrollingElement.scrollWidth;
		if (all <= width) return [];
		const out = [all + ' px of content in a window of ' + width + ' px'];
		for (const e of document.body.querySelectorAll('*')) {
			const end = Math.round(e.getBoundingClientRect().right);
			if (end > width && out.length < 8) out.push(e.cloneNode(false).outerHTML.slice(0, 160) + ' ends at ' + end);
		}
		return out })(%d)`, p.visitor.Width))
	for _, line := range wide {
		p.t.Errorf("%s scrolls sideways: %s", p.Path(), line)
	}
}
