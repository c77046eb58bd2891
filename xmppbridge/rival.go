package xmppbridge

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"

	"github.com/bindgate/bindgate/gate"
)

// record is what a module is told of who has its component: bindgate's database, and the link there. Processes with the same record take turns by the link's lease; all
// others take the component's connection from each other. "": not told.
func (c Config) record() string {
	if c.Record == "" {
		return ""
	}
	return c.Record + "/" + c.recordedName()
}

// recordedName is the link's name, or a digest of one that a module would not keep as it is: it takes maxToken bytes and no control characters.
func (c Config) recordedName() string {
	odd := func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
	if len(c.Record)+1+len(c.Name) > maxToken || strings.ContainsFunc(c.Name, odd) {
		sum := sha256.Sum256([]byte(c.Name))
		return hex.EncodeToString(sum[:8])
	}
	return c.Name
}

// rival says what whoever was on the component before is to this link. One on this database whose link has this name, or does not say which it has, is another process of
// this link: no rival.
func (c Config) rival(r gate.Rival) gate.Rival {
	switch {
	case r.Database != c.Record:
		return r
	case r.Link == "" || r.Link == c.recordedName():
		return gate.Rival{}
	}
	return gate.Rival{Link: r.Link}
}
