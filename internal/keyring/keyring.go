// Package keyring keeps the keys that bearer tokens are checked with: shared secrets and public keys in files, or a JWK Set behind a URL. All of them
// may change while it runs: files are read again every second, a set every five minutes and when a token names a key that is not in it.
//
// Each key has one algorithm, which follows from what it is (RFC 8725 §3.1), so that a token's header cannot choose how its own signature is looked at:
//
//	secret          HS256
//	RSA             RS256   2,048 to 8,192 bits
//	EC, P-256       ES256
//	OKP, Ed25519    EdDSA
//
// What cannot be read again leaves the keys as they were, and is logged as an error.
//
// Goroutines: Run has one for each file and one for the URL; it waits for them.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// The algorithms of keys (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	HS256 = "HS256"
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// ErrUnavailable is returned while keys cannot be had: the set has never been fetched, or not for a day.
var ErrUnavailable = errors.New("keyring: the keys cannot be fetched")

// Key is what a signature is checked with: []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
type Key struct {
	ID       string // of a set's key; "": it has none
	Alg      string
	Material any
}

// String hides the key, which may be a secret.
func (k Key) String() string { return k.Alg + " key" }

// GoString hides the key.
func (k Key) GoString() string { return k.String() }

// LogValue hides the key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Config says where keys are. One place is needed.
type Config struct {
	SecretFile    string // lines of text, each a secret; see ParseSecrets
	PublicKeyFile string // PEM; see ParsePEM
	JWKSURL       string // see CheckURL
	Logger        *slog.Logger
}

// Ring finds keys. It is safe for concurrent use.
type Ring struct {
	files []*file
	set   *remote // nil: none
}

// Open reads the files, which have to be right at first. It fetches nothing: Run does.
func Open(cfg Config) (*Ring, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Ring{}
	for _, f := range []*file{{path: cfg.SecretFile, parse: secretKeys}, {path: cfg.PublicKeyFile, parse: ParsePEM}} {
		if f.path == "" {
			continue
		}
		f.log = cfg.Logger
		if err := f.open(); err != nil {
			return nil, err
		}
		r.files = append(r.files, f)
	}
	if cfg.JWKSURL != "" {
		if err := CheckURL(cfg.JWKSURL); err != nil {
			return nil, err
		}
		r.set = newRemote(cfg.JWKSURL, http.DefaultTransport, cfg.Logger)
	}
	if len(r.files) == 0 && r.set == nil {
		return nil, errors.New("keyring: no place for keys is given")
	}
	return r, nil
}

// Run keeps the keys up to date until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	var g errgroup.Group
	for _, f := range r.files {
		g.Go(func() error { return f.run(ctx) })
	}
	if r.set != nil {
		g.Go(func() error { return r.set.run(ctx) })
	}
	return g.Wait()
}

// Find returns the keys that may have signed a token whose header has this algorithm and key id ("": none); none if there is no such key. Keys of
// files have no ids and fit every one. It waits, three seconds at most, where the set has to be fetched first: at most once in five seconds, however
// many ask. The error is ErrUnavailable or that of ctx.
func (r *Ring) Find(ctx context.Context, alg, id string) ([]any, error) {
	var found []any
	for _, f := range r.files {
		for _, k := range *f.keys.Load() {
			if k.Alg == alg {
				found = append(found, k.Material)
			}
		}
	}
	if len(found) > 0 || r.set == nil || alg != RS256 && alg != ES256 && alg != EdDSA {
		return found, nil
	}
	keys, err := r.set.find(ctx, alg, id)
	if err != nil {
		return nil, fmt.Errorf("find a key: %w", err)
	}
	return keys, nil
}
