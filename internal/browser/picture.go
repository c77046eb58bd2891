package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Picture writes the whole page, down to its end, as a PNG.
func (p *Page) Picture(file string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	// The window is made as high as the page: what is fixed to its edges is then at the page's.
	height := Eval[int64](p, `Math.max(innerHeight, document.documentElement.scrollHeight)`)
	err := send(ctx, emulation.SetDeviceMetricsOverride, p.window(height))
	var answer page.CaptureScreenshotResult
	if err == nil {
		answer, err = chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng})
	}
	if err == nil {
		err = send(ctx, emulation.SetDeviceMetricsOverride, p.window(p.visitor.Height))
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, answer.Data, 0o644) //nolint:gosec // a picture for everyone
	}
	if err != nil {
		p.fatal("take a picture", err)
	}
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
