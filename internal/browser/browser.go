// Package browser is the test kit for pages: a real Chromium, driven through chromedp. Whatever a person with the developer tools open would frown at fails
// the test by itself: an error or a warning on the console, an exception that nobody caught, a violation of the page's content security policy, a request
// that failed or was answered with an error, a request to any host but this machine.
//
// A test binary starts one browser when the first test asks for a page; each page is a tab with cookies and a cache of its own. Without a Chromium on the
// machine a test is skipped, or fails when CI is set; deploy/setup.sh --tests installs it, and axe-core.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what must come. It is no measure of speed.
const patience = time.Minute

// Main runs a package's tests and ends the browser after them; TestMain calls it and exits with what it returns.
func Main(m *testing.M) int {
	defer quit()
	return m.Run()
}

// running is the binary's browser, once a test has asked for it.
var running struct {
	sync.Mutex
	started bool
	ctx     context.Context // chromedp's handle of the browser
	stop    context.CancelFunc
	err     error
}

// errMissing: there is no Chromium on the machine.
var errMissing = errors.New("there is no chromium on this machine; deploy/setup.sh --tests installs it")

// start returns the handle of the binary's browser.
func start() (context.Context, error) {
	running.Lock()
	defer running.Unlock()
	if !running.started {
		running.started = true
		running.ctx, running.stop, running.err = launch()
	}
	return running.ctx, running.err
}

func quit() {
	running.Lock()
	defer running.Unlock()
	if running.stop != nil {
		running.stop()
	}
}

func launch() (context.Context, context.CancelFunc, error) {
	program, err := find()
	if err != nil {
		return nil, nil, err
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.DisableGPU,
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("font-render-hinting", "none"), // the same pictures on every machine
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,HttpsUpgrades,MediaRouter,OptimizationHints,PreloadTopChromeWebUI,GlicWebUI,WebUIReloadButton,InitialWebUI"),
	)...)
	ctx, _ := chromedp.NewContext(allocator) //nolint:govet // ends with its allocator
	if err := chromedp.Do(ctx); err != nil { // starts it
		stop()
		return nil, nil, fmt.Errorf("start %s: %w", program, err)
	}
	return ctx, stop, nil
}

// find returns the browser's program.
func find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errMissing
}

// lacking skips a test for which something is not installed; where CI is set it fails.
func lacking(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "" {
		t.Skip(err)
	}
	t.Fatal(err)
}
