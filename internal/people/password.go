package people

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"

	"github.com/bindgate/bindgate/store"
)

// The length of a password: at least in characters, at most in bytes.
const (
	MinPassword = 10
	MaxPassword = 1024
)

// PasswordError is why a password is refused.
type PasswordError string

// The reasons.
const (
	PasswordShort   PasswordError = "short"
	PasswordLong    PasswordError = "long"
	PasswordControl PasswordError = "control" // holds a control character, or is no text
	PasswordCommon  PasswordError = "common"
)

// Error says it in a sentence.
func (e PasswordError) Error() string {
	switch e {
	case PasswordShort:
		return fmt.Sprintf("the password is too short: %d characters at least", MinPassword)
	case PasswordLong:
		return fmt.Sprintf("the password is too long: %d bytes at most", MaxPassword)
	case PasswordControl:
		return "the password holds a control character, or is not UTF-8"
	}
	return "the password is one of the first that anybody would try"
}

// prepare brings a password into the form that is hashed, so that it is the same from every keyboard: as OpaqueString (RFC 8265 §4.2), but that characters may
// be newer than our tables.
func prepare(password string) (string, error) {
	if len(password) > MaxPassword {
		return "", PasswordLong
	}
	if !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl) {
		return "", PasswordControl
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, password)), nil
}

// worst are long enough and tried first by everybody. Others as simple are found by their pattern.
var worst = []string{
	"qwertyuiop", "1q2w3e4r5t", "1qaz2wsx3edc", "asdfghjkl;", "password12", "password123", "password1234", "passw0rd123", "p@ssw0rd123", "p@ssword123", "letmein123",
	"welcome123", "changeme123", "administrator", "admin12345", "admin123456", "iloveyou123", "football123", "qwerty12345", "qwerty123456", "abcd123456", "a123456789", "superadmin", "bindgate123",
}

// choose checks a password that the named user is to have, and brings it into its form. PasswordError.
func choose(password, name string) (string, error) {
	p, err := prepare(password)
	if err != nil {
		return "", err
	}
	if utf8.RuneCountInString(p) < MinPassword {
		return "", PasswordShort
	}
	low := strings.ToLower(p)
	if slices.Contains(worst, low) || simple(low) || name != "" && strings.ReplaceAll(low, name, "") == "" {
		return "", PasswordCommon
	}
	return p, nil
}

// simple reports whether a text is a short one over and over, or counts up or down.
func simple(s string) bool {
	runes := []rune(s)
	for period := 1; period <= len(runes)/2 && period <= 6; period++ {
		if slices.Equal(runes[period:], runes[:len(runes)-period]) {
			return true
		}
	}
	first := step(runes[0], runes[1])
	for i := 2; i < len(runes); i++ {
		if step(runes[i-1], runes[i]) != first {
			return false
		}
	}
	return first == 1 || first == -1
}

// step is from one character to the next; 0 follows 9.
func step(from, to rune) rune {
	switch {
	case from == '9' && to == '0':
		return 1
	case from == '0' && to == '9':
		return -1
	}
	return to - from
}

// oneTime makes a password that is good for choosing another one.
func oneTime() string {
	return grouped(rand.Text())
}

// cost is that of a hash: 19 MiB and about 30 ms, OWASP's first choice for argon2id.
var cost = &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// hasher bounds what hashing takes of the machine: so many at once, so many that wait.
type hasher struct {
	running chan struct{}
	waiting chan struct{}
	nobody  store.PasswordHash // to compare with where there is none: an answer takes the same time
}

// How many hashes are made at once, 19 MiB each, and how many wait for that.
const (
	hashesAtOnce  = 2
	hashesWaiting = 64
)

func newHasher() (*hasher, error) {
	nobody, err := argon2id.CreateHash(rand.Text(), cost)
	if err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	return &hasher{running: make(chan struct{}, hashesAtOnce), waiting: make(chan struct{}, hashesWaiting), nobody: store.PasswordHash(nobody)}, nil
}

// enter waits until a hash may be made; leave when it is. ErrBusy if too many wait already, or it takes too long; context.Canceled if whoever waits goes away.
func (h *hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.waiting <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	defer func() { <-h.waiting }()
	select {
	case h.running <- struct{}{}:
		return func() { <-h.running }, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
		}
		return nil, fmt.Errorf("password: %w", ctx.Err())
	}
}

// hash makes what is kept of a password in its form.
func (h *hasher) hash(ctx context.Context, prepared string) (store.PasswordHash, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := argon2id.CreateHash(prepared, cost)
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	return store.PasswordHash(hash), nil
}

// matches reports whether a hash is that of the password; "" is nobody's, which takes as long to see.
func (h *hasher) matches(ctx context.Context, password string, hash store.PasswordHash) (bool, error) {
	prepared, malformed := prepare(password)
	leave, err := h.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	of := hash
	if of == "" {
		of = h.nobody
	}
	ok, err := argon2id.ComparePasswordAndHash(prepared, string(of))
	if err != nil {
		return false, fmt.Errorf("password: %w", err)
	}
	return ok && hash != "" && malformed == nil, nil
}
