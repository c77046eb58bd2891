package xmppbridge

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFramer(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	tests := []struct {
		name, in string
		want     []string // from|id|body or what was skipped
		end      string
	}{
		{"nothing", " \n\t\r", nil, "EOF"},
		{"empty elements", "<a from='x'/> <b id='1'/>", []string{"a x||<a from='x'/>", "b |1|<b id='1'/>"}, "EOF"},
		{"tags inside", "<a><b/><c x='/>'>t</c>/></a><d/>", []string{"a ||<a><b/><c x='/>'>t</c>/></a>", "d ||<d/>"}, "EOF"},
		{"quotes", `<a from="'" id='"/>'>'"</a><b/>`, []string{`a '|"/>|<a from="'" id='"/>'>'"</a>`, "b ||<b/>"}, "EOF"},
		{"end of stream", "<a/></stream:stream>", []string{"a ||<a/>"}, "the server closed the stream"},
		{"cut", "<a><b", nil, "EOF"},
		{"comment first", "<!-- <a> --><?xml ?> <a/>", []string{"a ||<a/>"}, "EOF"},
		{"short comment", "<a><!----><![CDATA[]]]><b></a>]]></a><b/>", []string{"a ||<a><!----><![CDATA[]]]><b></a>]]></a>", "b ||<b/>"}, "EOF"},
		{"text between", "<a/>x<b/>", []string{"a ||<a/>"}, "the server sent text between stanzas"},
		{"document type", "<!DOCTYPE a>", nil, "the server sent a document type declaration"},
		{"no name", "<>", nil, `the server sent '>' behind '<'`},
		{"unwanted", "<a from='skip'><b>" + strings.Repeat("x", 1<<20) + "</b></a><b/>", []string{"a skip| skipped ", "b ||<b/>"}, "EOF"},
		{"too large", "<a from='x'>" + strings.Repeat("x", 200) + "</a><b/>", []string{"a x| skipped larger than 100 bytes", "b ||<b/>"}, "EOF"},
		{"start tag larger than wanted", "<a from='x' y='" + strings.Repeat("x", 200) + "'/><b/>", []string{"a x| skipped larger than 100 bytes", "b ||<b/>"}, "EOF"},
		{"start tag too large", "<a from='" + strings.Repeat("x", 1<<15) + "'><b/></a><b/>", []string{"start tag longer than 16384 bytes", "b ||<b/>"}, "EOF"},
		{"too deep", deep(33) + "<b/>", []string{"a | skipped nested deeper than 32 elements", "b ||<b/>"}, "EOF"},
		{"far too deep", deep(100_000) + "<b/>", []string{"a | skipped nested deeper than 32 elements", "b ||<b/>"}, "EOF"},
		{"unreadable start tag", "<a:b:c from='x'><d/></a:b:c><b/>", []string{"start tag: XML syntax error on line 1: expected element name after <", "b ||<b/>"}, "EOF"},
		{"start tag that is not UTF-8", "<a from='\xff'/><b/>", []string{"start tag: XML syntax error on line 1: invalid UTF-8", "b ||<b/>"}, "EOF"},
		{"prefixed attributes", "<a xmlns:x='y' x:from='a' x:id='b' from='c' x:type='d'/>", []string{"a c||<a xmlns:x='y' x:from='a' x:id='b' from='c' x:type='d'/>"}, "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in)), iotest.HalfReader(strings.NewReader(tt.in))} {
				f := newFramer(bufio.NewReaderSize(r, 16))
				var got []string
				var err error
				for {
					var fr frame
					fr, err = f.next(func(h head) int {
						switch {
						case h.from == "skip":
							return 0
						case tt.name == "too deep":
							return 1000
						}
						return 100
					})
					if err != nil {
						break
					}
					switch {
					case fr.bad != nil:
						got = append(got, fr.bad.Error())
					case fr.body == nil:
						got = append(got, fr.name+" "+fr.from+"| skipped "+fr.skip)
					default:
						got = append(got, fr.name+" "+fr.from+"|"+fr.id+"|"+string(fr.body))
					}
				}
				if strings.Join(got, "\n") != strings.Join(tt.want, "\n") || err.Error() != tt.end {
					t.Errorf("frames\n got %q, %v\nwant %q, %s", got, err, tt.want, tt.end)
				}
			}
		})
	}
}
