// Package docs renders an OpenAPI 3.1 document as one HTML page to read: no request follows it, to no host.
//
// The page is our own, not one of the renderers that come as a bundle: those are 0.7 to 3.5 MB of script, want eval or inline styles (which a strict
// Content-Security-Policy refuses), show nothing without script or to a screen reader in its own order, and know neither our scopes nor that a field of an
// error names a field. What the contract uses of OpenAPI is a few hundred lines, and a test holds that every operation, parameter and field of it is shown.
package docs

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed search.js
	searchJS string
)

// Page is a rendered document.
type Page struct {
	HTML []byte
	// Policy is the Content-Security-Policy that the page needs: its own style and script by their hashes, a drawing within it, and nothing else.
	Policy string
}

// Render makes the page of a document. Its errors name what the document lacks or has that cannot be shown.
func Render(openapi []byte) (Page, error) {
	doc, err := read(openapi)
	if err != nil {
		return Page{}, fmt.Errorf("docs: %w", err)
	}
	t, err := template.New("page").Funcs(template.FuncMap{
		"prose":  prose,
		"spans":  func(text string) template.HTML { return template.HTML(spans(text)) }, //nolint:gosec // spans escapes
		"pieces": pieces,
		"style":  func() template.CSS { return template.CSS(pageCSS) }, //nolint:gosec // embedded
		"run":    func() template.JS { return template.JS(searchJS) },  //nolint:gosec // embedded
	}).Parse(pageHTML)
	if err != nil {
		return Page{}, fmt.Errorf("docs: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, doc); err != nil {
		return Page{}, fmt.Errorf("docs: %w", err)
	}
	policy := fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", hash(pageCSS), hash(searchJS))
	return Page{HTML: b.Bytes(), Policy: policy}, nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
