package rules

import "unicode/utf8"

// Glob reports whether the whole of text matches pattern: * stands for any characters, also none, ? for exactly one, any other for
// itself; ASCII letters of either case are alike. It takes at most len(pattern) × len(text) steps, whatever the pattern.
func Glob(pattern, text string) bool {
	p, t := 0, 0
	star, mark := -1, 0 // the last *, and where in text its match ends for now
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
			continue
		case p < len(pattern) && pattern[p] == '?':
			_, n := utf8.DecodeRuneInString(text[t:])
			p, t = p+1, t+n
			continue
		case p < len(pattern) && lower(pattern[p]) == lower(text[t]):
			p, t = p+1, t+1
			continue
		case star < 0:
			return false
		}
		// Only the last * ever needs another try: what came before it matched as early as could be.
		_, n := utf8.DecodeRuneInString(text[mark:])
		mark += n
		p, t = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
