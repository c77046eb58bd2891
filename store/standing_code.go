package store

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/bindgate/bindgate/rules"
)

// standingVersion begins every encoded Standing.
const standingVersion = 1

// errStanding is returned for bytes that are no Standing.
var errStanding = errors.New("not an account's standing")

// encode returns the standing as it is kept; nil if there is nothing to keep. It is read and written at every admission of an account that has one, which is
// why it is no JSON: that takes twenty times as long.
func (s *Standing) encode() []byte {
	if s.empty() {
		return nil
	}
	c := &coder{bytes: make([]byte, 0, 128)}
	c.standing(s)
	return c.bytes
}

func decodeStanding(b []byte) (s Standing, err error) {
	c := &coder{bytes: b, reading: true}
	c.standing(&s)
	if c.failed || len(c.bytes) > 0 {
		return Standing{}, errStanding
	}
	return s, nil
}

// coder writes values to bytes, or reads them from there: one walk over a value serves both ways.
type coder struct {
	bytes   []byte
	reading bool
	failed  bool
}

func (c *coder) standing(s *Standing) {
	version := int64(standingVersion)
	if c.number(&version); version != standingVersion {
		c.failed = true
	}
	each(c, &s.Displaced, func(d *rules.Displacement) {
		c.displacement(d)
		c.number(&d.Unbound)
		before := d.Before != nil
		c.flag(&before)
		if before && c.reading {
			d.Before = &rules.Displacement{}
		}
		if before {
			c.displacement(d.Before)
		}
	})
	each(c, &s.Waits, func(w *rules.Wait) {
		c.number((*int64)(&w.Party))
		c.number(&w.Device)
		c.text(&w.Resource)
		c.time(&w.Until)
	})
	each(c, &s.Grants, func(g *Grant) {
		c.number(&g.ID)
		hash := string(g.Hash)
		c.text(&hash)
		g.Hash = []byte(hash)
		c.number(&g.Device)
		c.text(&g.Resource)
		c.time(&g.Expires)
		c.text(&g.By)
		c.number(&g.Reserved)
		c.flag(&g.Used)
	})
	each(c, &s.Denials, func(d *Denied) {
		c.number((*int64)(&d.Party))
		c.text(&d.Code)
		c.time(&d.At)
		c.time(&d.Last)
		c.time(&d.Told)
		c.count(&d.Repeats)
	})
	each(c, &s.Brought, func(b *Brought) {
		c.number(&b.Generation)
		c.number(&b.Chosen)
		c.text(&b.Wrong)
	})
}

// displacement walks all of it but for Unbound and Before.
func (c *coder) displacement(d *rules.Displacement) {
	c.number((*int64)(&d.Party))
	c.number(&d.Device)
	c.text(&d.Resource)
	c.number(&d.Winner)
	c.number((*int64)(&d.WinnerParty))
	c.flag(&d.Own)
	c.time(&d.At)
	c.time(&d.SilentSince)
	c.number((*int64)(&d.LongestGap))
	c.count(&d.Attempts)
	each(c, &d.Turns, c.time)
	c.time(&d.FrozenUntil)
}

// each walks a list: its length, and its elements.
func each[T any](c *coder, list *[]T, element func(*T)) {
	n := len(*list)
	c.count(&n)
	if c.reading {
		if n < 0 || n > len(c.bytes) { // an element has a byte at least
			c.failed = true
		}
		if c.failed || n == 0 {
			return
		}
		*list = make([]T, n)
	}
	for i := range *list {
		element(&(*list)[i])
	}
}

func (c *coder) number(n *int64) {
	if !c.reading {
		c.bytes = binary.AppendVarint(c.bytes, *n)
		return
	}
	v, size := binary.Varint(c.bytes)
	if size <= 0 {
		c.failed, c.bytes, v, size = true, nil, 0, 0
	}
	*n, c.bytes = v, c.bytes[size:]
}

func (c *coder) count(n *int) {
	v := int64(*n)
	c.number(&v)
	*n = int(v)
}

func (c *coder) flag(b *bool) {
	var v int64
	if *b {
		v = 1
	}
	c.number(&v)
	*b = v != 0
}

func (c *coder) text(s *string) {
	n := len(*s)
	c.count(&n)
	if !c.reading {
		c.bytes = append(c.bytes, *s...)
		return
	}
	if n < 0 || n > len(c.bytes) {
		c.failed, n = true, 0
	}
	*s, c.bytes = string(c.bytes[:n]), c.bytes[n:]
}

// time has microseconds, as PostgreSQL's do.
func (c *coder) time(t *time.Time) {
	var micros int64
	if !t.IsZero() {
		micros = t.UnixMicro()
	}
	c.number(&micros)
	if c.reading && micros != 0 {
		*t = time.UnixMicro(micros).UTC()
	}
}
