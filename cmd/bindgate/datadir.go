package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// jwtSecretName is the secret that bindgate makes when none is configured: 64 hexadecimal digits.
const jwtSecretName = "jwt-secret"

// openDataDir makes the data directory if it is missing and refuses one that belongs to another user: the secret in it is worth
// as much as every right there is.
func (c *config) openDataDir() error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711 // the embedded database runs as another user and has to pass
	}
	if err := os.MkdirAll(c.DataDir, mode); err != nil {
		return fmt.Errorf("data directory (%s): %w", c.dataDirOrigin, err)
	}
	return c.checkDataDir()
}

// checkDataDir refuses a data directory of another user. One that is not there yet is fine.
func (c *config) checkDataDir() error {
	info, err := os.Stat(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data directory (%s): %w", c.dataDirOrigin, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: the data directory %s is a file", c.dataDirOrigin, c.DataDir)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	owner, me := userName(int(st.Uid)), userName(os.Geteuid())
	return fmt.Errorf("%s: the data directory %s belongs to the user %s, but bindgate runs as %s: run it as %s, or hand the directory over (chown %s %s), or name another one",
		c.dataDirOrigin, c.DataDir, owner, me, owner, me, c.DataDir)
}

// writeFresh makes a secret file that appears whole or not at all.
func writeFresh(path string) (secret, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	text := hex.EncodeToString(key)
	f, err := os.CreateTemp(filepath.Dir(path), ".jwt-secret-") // mode 0600
	if err != nil {
		return "", fmt.Errorf("make a token secret: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // fails if the file is there, unlike a rename
	}
	if err != nil {
		return "", fmt.Errorf("make a token secret: %w", err)
	}
	return secret(text), nil
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
