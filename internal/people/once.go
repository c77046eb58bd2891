package people

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/store"
)

// Form is a form that was sent, perhaps twice: by a double click, of which the browser shows the second answer alone. A one-time password that a form made is the
// same in both answers.
type Form struct {
	User int64  // who has sent it
	Key  string // that nobody can guess and no other form has; "": none, and each password is another one
}

// oneTime makes the one-time password that the form gives to a user. It follows from the form's key and one that only the database has, so that it is kept nowhere.
func (p *People) oneTime(ctx context.Context, f Form, about string) (string, error) {
	if f.Key == "" {
		return oneTime(), nil
	}
	shared, err := p.store.TokenKey(ctx)
	if err != nil {
		return "", err
	}
	bits, err := hkdf.Key(sha256.New, append(append([]byte{}, shared...), f.Key...), nil, "bindgate one-time password 1 "+strconv.FormatInt(f.User, 10)+" "+about, 13)
	if err != nil {
		return "", fmt.Errorf("one-time password: %w", err)
	}
	return grouped(base32.StdEncoding.EncodeToString(bits)), nil
}

// grouped is how a one-time password is read from a screen or paper: 100 bits, as 20 letters and digits in groups of five.
func grouped(text string) string {
	t := strings.ToLower(text[:20])
	return t[:5] + "-" + t[5:10] + "-" + t[10:15] + "-" + t[15:]
}

// madeBefore returns a user who still has that one-time password: the form has come before.
func (p *People) madeBefore(ctx context.Context, name, password string, f Form) (u store.User, made bool, err error) {
	if f.Key == "" {
		return u, false, nil
	}
	u, hash, err := p.store.FindPassword(ctx, name)
	if err != nil || !u.MustChange {
		return u, false, err
	}
	made, err = p.hashes.matches(ctx, password, hash)
	return u, made, err
}
