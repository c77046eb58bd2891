package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/internal/keyring"
)

// tokenSecret reads the secrets without making one, and returns the one that signs; "" if there is none to use.
func (r *report) tokenSecret(cfg *config) secret {
	if !cfg.takesSecret() {
		return ""
	}
	path := cfg.secretFile()
	all, err := readSecrets(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && cfg.JWTSecretFile == "":
		r.ok("token secret", "will be made as %s at the first start", path)
		return ""
	case err != nil:
		r.fail("token secret", "%v: --jwt-secret-file (BINDGATE_JWT_SECRET_FILE) has to name a readable file", err)
		return ""
	}
	info, err := os.Stat(path)
	short := slices.IndexFunc(all, func(s secret) bool { return len(s) < api.SafeSecret })
	switch {
	case err == nil && info.Mode().Perm()&0o077 != 0:
		r.warn("token secret", "%s can be read by other users (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	case short >= 0:
		r.warn("token secret", "%s has %d bytes, HS256 wants %d (RFC 7518): it may be guessed from a token; openssl rand -hex 32 makes a good one", path, len(all[short]), api.SafeSecret)
	case len(all) > 1:
		r.ok("token secret", "%s, %d of them: the first one signs, all are good", path, len(all))
	default:
		r.ok("token secret", "%s", path)
	}
	return all[0]
}

// publicKeys reads the file or fetches the set, as serve does.
func (r *report) publicKeys(ctx context.Context, cfg *config) {
	switch {
	case cfg.JWTPublicKeyFile != "":
		keys, err := cfg.publicKeyFile()
		if err != nil {
			r.fail("token keys", "%v", err)
			return
		}
		algs := make([]string, len(keys))
		for i, k := range keys {
			algs[i] = k.Alg
		}
		r.ok("token keys", "%s in %s: %s", count(len(keys), "public key"), cfg.JWTPublicKeyFile, strings.Join(algs, ", "))
	case cfg.JWKSURL != "":
		usable, unused, err := keyring.Try(ctx, cfg.JWKSURL)
		if err != nil {
			r.fail("token keys", "%s: %v", cfg.publicKeyOrigin, err)
			return
		}
		r.ok("token keys", "%s at %s", count(usable, "usable key"), cfg.JWKSURL)
		for _, why := range unused {
			r.ok("token keys", "not used: %s", why)
		}
	default:
		return
	}
	if cfg.JWTAudience == "" {
		r.warn("token keys", "tokens are not checked for their audience: what their issuer makes for other services is taken here too; set --jwt-audience (BINDGATE_JWT_AUDIENCE)")
	}
}
