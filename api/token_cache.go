package api

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxReadTokens bounds how many tokens are remembered, of maxToken bytes at most each.
const maxReadTokens = 1024

// readTokens remembers what was read of good tokens: to read one strictly takes many times as long as to check its signature. The signature is checked anew
// each time, with the keys as they are then, and so is whether the token has expired; all else that makes a token good cannot change.
type readTokens struct {
	mu     sync.RWMutex
	tokens map[string]*readToken
}

type readToken struct {
	who       *caller
	head      header
	method    jwt.SigningMethod
	signed    string
	signature []byte
}

// find returns who a remembered token speaks for, if it is still good; nil: it has to be read.
func (t *readTokens) find(ctx context.Context, keys Keys, token string) *caller {
	t.mu.RLock()
	k := t.tokens[token]
	t.mu.RUnlock()
	if k == nil || !time.Now().Before(k.who.expires) {
		return nil
	}
	found, err := keys.Find(ctx, k.head.alg, k.head.kid)
	if err != nil {
		return nil
	}
	for _, key := range found {
		if k.method.Verify(k.signed, k.signature, key) == nil {
			return k.who
		}
	}
	return nil
}

// keep remembers a good token.
func (t *readTokens) keep(token string, head header, who *caller) {
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.Strict().DecodeString(token[dot+1:])
	method := jwt.GetSigningMethod(head.alg)
	if err != nil || method == nil { // cannot be: it is good
		return
	}
	token = strings.Clone(token)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tokens == nil || len(t.tokens) >= maxReadTokens { // those in use are soon back
		t.tokens = map[string]*readToken{}
	}
	t.tokens[token] = &readToken{who, head, method, token[:dot], signature}
}
