package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/term"

	"github.com/bindgate/bindgate/internal/people"
)

// readPassword reads a password from standard input: the one line that is there, or, from a terminal, what is typed twice without being shown.
func readPassword(e *env) (string, error) {
	fd := int(e.stdin.Fd())
	if !term.IsTerminal(fd) {
		return passwordLine(e.stdin)
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(e.stderr, prompt)
		b, err := term.ReadPassword(fd)
		fmt.Fprintln(e.stderr)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ")
	}
	return typed[0], nil
}

func passwordLine(from io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(from, people.MaxPassword+3)) // a line's end, and one byte too many
	if err != nil {
		return "", fmt.Errorf("password: standard input: %w", err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 {
		return "", errors.New("there is no password on standard input: give it one line, as in  printf '%s' \"$PASSWORD\" | bindgate user add ada")
	}
	if bytes.ContainsRune(text, '\n') {
		return "", errors.New("standard input has more than one line: it is to be the password alone")
	}
	return string(text), nil
}
