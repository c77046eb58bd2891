package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed static
var staticFiles embed.FS

const assetRoot = Root + "/static/"

// asset is a file that pages load. Its name has its hash in it, so it never changes.
type asset struct {
	kind     string
	plain    []byte
	squeezed []byte // gzip; nil: it is not smaller
}

// assets are all of them: the style sheets and the scripts each in one file, in the order of their names, beginning with those that the others build on.
type assets struct {
	byName map[string]asset  // with its hash
	urls   map[string]string // by the name that templates use
}

// bundles are the files made of several.
var bundles = []struct {
	name, ext, kind string
	first           []string
}{
	{"dashboard.css", ".css", "text/css; charset=utf-8", []string{"tokens.css", "base.css", "layout.css", "parts.css"}},
	{"dashboard.js", ".js", "text/javascript; charset=utf-8", []string{"app.js", "live.js"}},
}

func newAssets() (*assets, error) {
	a := &assets{map[string]asset{}, map[string]string{}}
	files, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, err
	}
	for _, b := range bundles {
		names := slices.Clone(b.first)
		for _, f := range files {
			if path.Ext(f.Name()) == b.ext && !slices.Contains(names, f.Name()) {
				names = append(names, f.Name())
			}
		}
		var all bytes.Buffer
		for _, name := range names {
			text, err := staticFiles.ReadFile("static/" + name)
			if err != nil {
				return nil, err
			}
			all.Write(text)
			all.WriteByte('\n')
		}
		if err := a.add(b.name, b.kind, all.Bytes()); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if path.Ext(f.Name()) != ".svg" {
			continue
		}
		text, err := staticFiles.ReadFile("static/" + f.Name())
		if err != nil {
			return nil, err
		}
		if err := a.add(f.Name(), "image/svg+xml", text); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *assets) add(name, kind string, content []byte) error {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	v := asset{kind: kind, plain: content}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(content); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if b.Len() < len(content) {
		v.squeezed = b.Bytes()
	}
	a.byName[hashed], a.urls[name] = v, assetRoot+hashed
	return nil
}

// url returns an asset's address.
func (a *assets) url(name string) (string, error) {
	if u, ok := a.urls[name]; ok {
		return u, nil
	}
	return "", fmt.Errorf("there is no asset %q", name)
}

// ServeHTTP implements http.Handler.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, ok := a.byName[strings.TrimPrefix(r.URL.Path, assetRoot)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", v.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := v.plain
	if v.squeezed != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = v.squeezed
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the reader is gone
	}
}

// acceptsGzip reads Accept-Encoding as browsers send it; who refuses gzip by a weight of 0 gets none.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			w := strings.ReplaceAll(weight, " ", "")
			return w != "q=0" && !strings.HasPrefix(w, "q=0.000") && w != "q=0.0" && w != "q=0.00"
		}
	}
	return false
}
