package jid

import (
	"errors"
	"strings"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/unicode/norm"
)

// profile is a stringprep profile (RFC 3454). Code points that Unicode 3.2 does not know are let through ("queries", §7): servers let
// such names in, and who asks for one must be able to find it. They are neither mapped nor normalized, as in Unicode 3.2.
type profile struct {
	fold       bool // table B.2; B.1 always
	prohibited []stringprep.Set
}

// nodeprep (RFC 3920 appendix A), nameprep (RFC 3491), resourceprep (RFC 3920 appendix B).
var (
	nodeprep = profile{fold: true, prohibited: []stringprep.Set{
		nodeForbidden, stringprep.TableC1_1, stringprep.TableC1_2, stringprep.TableC2_1, stringprep.TableC2_2, stringprep.TableC3, stringprep.TableC4,
		stringprep.TableC5, stringprep.TableC6, stringprep.TableC7, stringprep.TableC8, stringprep.TableC9,
	}}
	nameprep = profile{fold: true, prohibited: []stringprep.Set{
		stringprep.TableC1_2, stringprep.TableC2_2, stringprep.TableC3, stringprep.TableC4, stringprep.TableC5, stringprep.TableC6, stringprep.TableC7,
		stringprep.TableC8, stringprep.TableC9,
	}}
	resourceprep = profile{prohibited: []stringprep.Set{
		stringprep.TableC1_2, stringprep.TableC2_1, stringprep.TableC2_2, stringprep.TableC3, stringprep.TableC4, stringprep.TableC5, stringprep.TableC6,
		stringprep.TableC7, stringprep.TableC8, stringprep.TableC9,
	}}
	nodeForbidden = stringprep.Set{{'"', '"'}, {'&', '\''}, {'/', '/'}, {':', ':'}, {'<', '<'}, {'>', '>'}, {'@', '@'}}
)

var errBidi = errors.New("jid: bidirectional text")

// early holds what Unicode 3.2 and RFC 3454 say and the tables in use do not: U+1806 belongs to table B.1, and five
// decompositions were corrected after 3.2 (Unicode's NormalizationCorrections).
var early = strings.NewReplacer("\u1806", "", "\U0002F868", "\U0002136A", "\U0002F874", "\u5F33", "\U0002F91F", "\u43AB", "\U0002F95F", "\u7AAE",
	"\U0002F9BF", "\u4D57")

type badRune struct{ rune rune }

func (e *badRune) Error() string { return "jid: prohibited character" }

// prepare maps, normalizes, refuses what is prohibited, checks right-to-left text: in this order (RFC 3454 §2).
func (p profile) prepare(s string) (string, error) {
	if plain(s) {
		return s, nil
	}
	out := normalize(p.mapped(s))
	var rtl, ltr bool
	var first, last rune
	for i, r := range out {
		for _, set := range p.prohibited {
			if set.Contains(r) {
				return "", &badRune{r}
			}
		}
		rtl = rtl || stringprep.TableD1.Contains(r)
		ltr = ltr || stringprep.TableD2.Contains(r)
		if i == 0 {
			first = r
		}
		last = r
	}
	if rtl && (ltr || !stringprep.TableD1.Contains(first) || !stringprep.TableD1.Contains(last)) {
		return "", errBidi
	}
	return out, nil
}

// plain reports whether a text is such that every profile leaves it as it is, as most are.
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func (p profile) mapped(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range early.Replace(s) {
		if _, ok := stringprep.TableB1.Map(r); ok {
			continue
		}
		if p.fold {
			if to, ok := stringprep.TableB2.Map(r); ok {
				b.WriteString(string(to))
				continue
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

// normalize is NFKC of Unicode 3.2: runs of code points it does not know stay as they are.
func normalize(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	start, known := 0, true
	flush := func(end int) {
		if known {
			b.WriteString(norm.NFKC.String(s[start:end]))
		} else {
			b.WriteString(s[start:end])
		}
		start = end
	}
	for i, r := range s {
		if k := !stringprep.TableA1.Contains(r); k != known {
			flush(i)
			known = k
		}
	}
	flush(len(s))
	return b.String()
}
