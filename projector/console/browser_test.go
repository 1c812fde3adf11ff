package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

const axeVersion = "4.14.1"

// exit ends the test process.
var exit = os.Exit

// browser is the Chromium that the tests of this process share, once one needs it.
var (
	startBrowser = sync.OnceValues(func() (context.Context, error) {
		chrome, err := os.MkdirTemp("", "casdelius-chromium-")
		if err != nil {
			return nil, err
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.UserDataDir(chrome), chromedp.NoSandbox, chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(limit),
			chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", false))
		allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
		first, close := chromedp.NewContext(allocator)
		stopBrowser = func() {
			_ = chromedp.Cancel(first)
			close()
			end()
			_ = os.RemoveAll(chrome)
		}
		return first, chromedp.Do(first)
	})
	stopBrowser = func() {}
	axe         = sync.OnceValues(func() (string, error) {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		text, err := os.ReadFile(filepath.Join(cache, "casdelius", "axe-core-"+axeVersion, "node_modules", "axe-core", "axe.min.js"))
		if err != nil {
			return "", fmt.Errorf("axe-core is not installed: run .ci/chromium, as make test does: %w", err)
		}
		return string(text), nil
	})
)

// tab is a tab of its own, with cookies of its own.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func newTab(t *testing.T) *tab {
	t.Helper()
	browser, err := startBrowser()
	require.NoError(t, err, "Chromium does not start: run .ci/chromium, as make test does")
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancelLimit := context.WithTimeout(ctx, 10*limit)
	t.Cleanup(cancelLimit)
	return &tab{t, ctx}
}

// do runs actions on the page.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, actions...))
}

// value is that of an expression on the page, or of its promise.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, "%.200s", expression)
	return v
}

// open opens an address, and waits until the page is there.
func (b *tab) open(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address), chromedp.WaitReady("main"))
}

// size makes the page so wide; at a scale of 2 it is zoomed to 200 %.
func (b *tab) size(width, height int64, scale float64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(int64(float64(width)/scale), int64(float64(height)/scale), chromedp.EmulateScale(scale)))
}

// text is that of the page's main part.
func (b *tab) text() string {
	b.t.Helper()
	return value[string](b, "document.querySelector('main').innerText")
}

// becomes waits until an expression is true on the page.
func (b *tab) becomes(expression string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
		return err == nil && is
	}, limit, 20*time.Millisecond, expression)
}

// shows waits until the page's main part shows a text.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.becomes("document.querySelector('main').innerText.includes(" + quoted(text) + ")")
}

// hides waits until the page's main part does not show a text.
func (b *tab) hides(text string) {
	b.t.Helper()
	b.becomes("!document.querySelector('main').innerText.includes(" + quoted(text) + ")")
}

func quoted(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

// accessible requires that axe-core finds nothing wrong with the page, by the rules of WCAG 2.2
// AA and the usual good practice.
func (b *tab) accessible(state string) {
	b.t.Helper()
	b.rules(state, `['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']`)
}

// rules requires that axe-core finds nothing by some rules.
func (b *tab) rules(state, rules string) {
	b.t.Helper()
	script, err := axe()
	require.NoError(b.t, err)
	type violation struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []struct {
			HTML    string `json:"html"`
			Summary string `json:"failureSummary"`
		} `json:"nodes"`
	}
	b.do(chromedp.Evaluate[chromedp.Void](script + "; null"))
	found := value[[]violation](b, `axe.run(document, {runOnly: `+rules+`, resultTypes: ['violations']}).then((r) => r.violations)`)
	var all strings.Builder
	for _, f := range found {
		for _, n := range f.Nodes {
			fmt.Fprintf(&all, "%s: %s\n  %s\n  %s\n", f.ID, f.Help, n.HTML, n.Summary)
		}
	}
	require.Empty(b.t, all.String(), "%s is not accessible", state)
}

// narrow requires that nothing of the page is beyond its right edge.
func (b *tab) narrow(state string) {
	b.t.Helper()
	wide := value[[]string](b, `(() => {
		const width = document.documentElement.clientWidth;
		const all = [...document.body.querySelectorAll('*')].filter((e) => !e.closest('svg') && e.getBoundingClientRect().right > width + 1);
		return document.documentElement.scrollWidth > width ? all.map((e) => e.outerHTML.slice(0, 120)) : [];
	})()`)
	require.Empty(b.t, wide, "%s scrolls sideways", state)
}

// picture keeps a screenshot of the whole page as an artefact.
func (b *tab) picture(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(b.t, err)
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		folder = b.t.ArtifactDir()
	}
	require.NoError(b.t, os.MkdirAll(folder, 0o750))
	require.NoError(b.t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600))
}

// dark shows pages as for whoever prefers them dark.
func (b *tab) dark() {
	b.t.Helper()
	b.media("prefers-color-scheme", "dark")
}

// media shows pages as for whoever has a preference.
func (b *tab) media(feature, preference string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: feature, Value: preference}}})
		return err
	}))
}

// plain switches JavaScript off.
func (b *tab) plain() {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}
