package xmppbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/bindgate/bindgate/gate"
)

// What a client is asked.
const (
	nsVersion = "jabber:iq:version"                     // XEP-0092 §3
	nsDisco   = "http://jabber.org/protocol/disco#info" // XEP-0030 §3
)

// maxToldWord is how much of a word that a client tells is kept, in bytes.
const maxToldWord = 64

// Software implements gate.Link. A client that refuses one question may answer the other; only when neither is answered at all there is an error.
func (c *conn) Software(ctx context.Context, src gate.Source, user, resource string) (gate.Software, error) {
	var out gate.Software
	to, ok := sessionAddress(src.Domain, user, resource)
	if !ok {
		return out, errors.New("software: not the address of a session")
	}
	var all sync.WaitGroup
	var version, disco *element
	var versionErr, discoErr error
	all.Go(func() { version, versionErr = c.queryClient(ctx, to, nsVersion) })
	all.Go(func() { disco, discoErr = c.queryClient(ctx, to, nsDisco) })
	all.Wait()
	if versionErr != nil && discoErr != nil {
		return out, fmt.Errorf("software: %w", versionErr)
	}
	out.Name, out.OS = told(version.child(nsVersion, "name")), told(version.child(nsVersion, "os"))
	out.Type = clientType(disco)
	return out, nil
}

// queryClient asks a client and returns the answer's query element; an empty one if it refused, told nothing or did not answer.
func (c *conn) queryClient(ctx context.Context, to, space string) (*element, error) {
	e, err := c.queryTo(ctx, to, func(env envelope) []byte {
		b := appendAttr([]byte("<iq type='get'"), "id", env.id)
		b = appendAttr(b, "from", env.from)
		b = appendAttr(b, "to", env.to)
		return append(b, "><query xmlns='"+space+"'/></iq>"...)
	})
	var refused *StanzaError
	if errors.As(err, &refused) {
		return &element{}, nil
	}
	if err != nil {
		return &element{}, err
	}
	if query := e.child(space, "query"); query != nil {
		return query, nil
	}
	return &element{}, nil
}

// told is an element's text without what does not print, and without the brackets that have a meaning in gate.Software; nil has none.
func told(e *element) string {
	if e == nil {
		return ""
	}
	words := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r), r == utf8.RuneError, strings.ContainsRune("()", r):
			return -1
		}
		return r
	}, e.text)
	words = strings.Join(strings.Fields(words), " ")
	if len(words) > maxToldWord {
		end := maxToldWord
		for !utf8.RuneStart(words[end]) {
			end--
		}
		words = strings.TrimSpace(words[:end])
	}
	return words
}

// clientType is the type of the first identity of category client.
func clientType(query *element) string {
	for _, i := range query.children {
		if i.name.Space != nsDisco || i.name.Local != "identity" {
			continue
		}
		category := i.attr("category")
		kind := i.attr("type")
		if category == "client" && kind != "" && len(kind) <= maxToldWord && !strings.ContainsFunc(kind, func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }) {
			return kind
		}
	}
	return ""
}
