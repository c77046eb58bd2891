package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

const pathExport = "/v1/accounts/:jid/export"

// An export may take exportTimeout, for the event log is looked through for it; at most exportsAtOnce are made at once.
const (
	exportTimeout = 5 * time.Minute
	exportsAtOnce = 2
)

// exportAccount streams all that is kept about a person as one JSON object, an array for each kind of data. What goes wrong after the first byte breaks the connection
// off, so that half an export is never taken for a whole one.
func (a *api) exportAccount(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	if c.head() {
		if _, err := a.store.FindAccount(c.ctx, acc.key); err != nil {
			return err
		}
		c.Response().Header().Set("Content-Type", "application/json")
		return c.NoContent(http.StatusOK)
	}
	select {
	case a.exports <- struct{}{}:
		defer func() { <-a.exports }()
	default:
		return fail(codeUnavailable, "As many exports as can be made at once are being made. Try again in a moment.")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), exportTimeout)
	defer cancel()
	rc := http.NewResponseController(c.Response())
	if err := errors.Join(rc.SetWriteDeadline(time.Now().Add(exportTimeout)), rc.SetReadDeadline(time.Time{})); err != nil {
		return err
	}
	x := exporter{call: c, w: bufio.NewWriterSize(c.Response(), 32<<10)}
	if err := a.store.Export(ctx, acc.jid, x.emit); err != nil {
		if !x.begun {
			return err
		}
		a.log.ErrorContext(ctx, "an export broke off", "request_id", c.Response().Header().Get(headerRequestID), "error", err)
		panic(http.ErrAbortHandler)
	}
	_, _ = x.w.WriteString("]}\n") // the writer keeps its first error
	if x.w.Flush() != nil {
		panic(http.ErrAbortHandler) // the caller is gone
	}
	return nil
}

// exporter writes the sections of an export.
type exporter struct {
	*call
	w     *bufio.Writer
	begun bool
	rows  int // of the section
}

func (x *exporter) emit(section string, row json.RawMessage) error {
	var err error
	switch {
	case row == nil && !x.begun:
		x.begun = true
		x.Response().Header().Set("Content-Type", "application/json")
		x.Response().WriteHeader(http.StatusOK)
		_, err = x.w.WriteString(`{"` + section + `":[`)
	case row == nil:
		_, err = x.w.WriteString(`],"` + section + `":[`)
		x.rows = 0
	default:
		if x.rows++; x.rows > 1 {
			_ = x.w.WriteByte(',')
		}
		_, err = x.w.Write(row)
	}
	return err
}
