package api

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate"
	"github.com/bindgate/bindgate/api/docs"
)

// reference is the contract as a page, plain and compressed; it is the same for everybody as long as the process runs.
type reference struct {
	plain, zipped []byte
	policy        string
}

func newReference() (reference, error) {
	page, err := docs.Render(bindgate.OpenAPI)
	if err != nil {
		return reference{}, err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(page.HTML)
	}
	if err == nil {
		err = z.Close()
	}
	return reference{plain: page.HTML, zipped: b.Bytes(), policy: page.Policy}, err
}

// getDocs shows the contract to read.
func (a *api) getDocs(c *call) error {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", a.reference.policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Vary", "Accept-Encoding")
	body := a.reference.plain
	if strings.Contains(c.Request().Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.reference.zipped
	}
	return c.Blob(http.StatusOK, "text/html; charset=utf-8", body)
}
