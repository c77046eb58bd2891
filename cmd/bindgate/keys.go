package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/internal/keyring"
)

// takesSecret reports whether tokens by a shared secret are taken: if one is configured, or nothing else is. A secret that happens to lie in the data directory
// opens nothing where public keys are configured.
func (c *config) takesSecret() bool { return c.JWTSecretFile != "" || c.publicKeyOrigin == "" }

// secretFile is the file of the shared secrets; "" if none are taken.
func (c *config) secretFile() string {
	switch {
	case c.JWTSecretFile != "":
		return c.JWTSecretFile
	case c.takesSecret():
		return filepath.Join(c.DataDir, jwtSecretName)
	}
	return ""
}

// secrets reads the shared secrets, the first of which signs. It makes one in the data directory first, if need be. Empty if none are taken.
func (c *config) secrets() ([]secret, error) {
	known, err := c.knownSecrets()
	if err != nil || len(known) > 0 || !c.takesSecret() {
		return known, err
	}
	if err := c.openDataDir(); err != nil {
		return nil, err
	}
	fresh, err := writeFresh(c.secretFile())
	switch {
	case errors.Is(err, fs.ErrExist): // another process was faster
		return readSecrets(c.secretFile())
	case err != nil:
		return nil, err
	}
	return []secret{fresh}, nil
}

// knownSecrets writes nothing; it is empty if the secret in the data directory has to be made first, or none are taken.
func (c *config) knownSecrets() ([]secret, error) {
	if !c.takesSecret() {
		return nil, nil
	}
	origin := "--jwt-secret-file (BINDGATE_JWT_SECRET_FILE)"
	if c.JWTSecretFile == "" {
		if err := c.checkDataDir(); err != nil {
			return nil, err
		}
		origin = c.dataDirOrigin
	}
	known, err := readSecrets(c.secretFile())
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.JWTSecretFile == "":
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	return known, nil
}

// readSecrets reads a file with a secret on each line.
func readSecrets(path string) ([]secret, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("secret file: %w", err)
	}
	lines, err := keyring.ParseSecrets(text)
	if err != nil {
		return nil, fmt.Errorf("secret file %s: %w", path, err)
	}
	all := make([]secret, len(lines))
	for i, l := range lines {
		all[i] = secret(l)
	}
	return all, nil
}

// publicKeyFile reads the public key file; empty if there is none.
func (c *config) publicKeyFile() ([]keyring.Key, error) {
	if c.JWTPublicKeyFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.JWTPublicKeyFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.publicKeyOrigin, err)
	}
	keys, err := keyring.ParsePEM(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", c.publicKeyOrigin, c.JWTPublicKeyFile, err)
	}
	return keys, nil
}

// keys opens what tokens are checked with. The secret is there by now.
func (c *config) keys(log *slog.Logger) (*keyring.Ring, error) {
	return keyring.Open(keyring.Config{SecretFile: c.secretFile(), PublicKeyFile: c.JWTPublicKeyFile, JWKSURL: c.JWKSURL, Logger: log})
}

// signingSecret is the one that this configuration's tokens are signed with.
func (c *config) signingSecret() (secret, error) {
	if !c.takesSecret() {
		return "", fmt.Errorf("tokens are checked with public keys (%s), and only who has the private one can make them; to take tokens of bindgate's own as well, set --jwt-secret-file (BINDGATE_JWT_SECRET_FILE)",
			c.publicKeyOrigin)
	}
	all, err := c.secrets()
	if err != nil {
		return "", err
	}
	return all[0], nil
}

// warnOfTokens says what makes tokens less than safe.
func (c *config) warnOfTokens(ctx context.Context, log *slog.Logger, secrets []secret) {
	for i, s := range secrets {
		if len(s) < api.SafeSecret {
			log.WarnContext(ctx, "a token secret is short: it may be guessed from a token", "line", i+1, "bytes", len(s), "wanted", api.SafeSecret, "remedy", "openssl rand -hex 32")
		}
	}
	if c.publicKeyOrigin != "" && c.JWTAudience == "" {
		log.WarnContext(ctx, "tokens are not checked for their audience: what their issuer makes for other services is taken here too", "remedy", "set --jwt-audience (BINDGATE_JWT_AUDIENCE)")
	}
}
