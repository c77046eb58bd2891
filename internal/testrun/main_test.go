package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, events string
		ok           bool
		want         []string
	}{
		{
			"passed and skipped", `
{"Action":"run","Package":"a","Test":"TestOne"}
{"Action":"pass","Package":"a","Test":"TestOne"}
{"Action":"output","Package":"a","Test":"TestTwo","Output":"=== RUN   TestTwo\n"}
{"Action":"output","Package":"a","Test":"TestTwo","Output":"    two_test.go:7: skipped: no server here\n"}
{"Action":"skip","Package":"a","Test":"TestTwo"}
{"Action":"pass","Package":"a","Elapsed":1.5}
{"Action":"skip","Package":"b"}
`, true,
			[]string{"skip  a TestTwo: skipped: no server here\n", "ok    a  2 tests (1.5 s)\n", "-     b  no tests\n", "All tests passed: 1 passed, 0 failed, 1 skipped, in 2 packages"},
		},
		{
			"failed", `
{"Action":"output","Package":"a","Test":"TestOne","Output":"    one_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"a","Test":"TestOne"}
{"Action":"fail","Package":"a","Elapsed":1}
`, false,
			[]string{"got 1, want 2\n", "FAIL  a  1 test, 1 failed (1.0 s)\n", "failed: a TestOne\n", "FAILED: 0 passed, 1 failed"},
		},
		{
			"panicked", `
{"Action":"output","Package":"a","Test":"TestOne","Output":"panic: oh\n"}
{"Action":"fail","Package":"a","Elapsed":1}
`, false,
			[]string{"panic: oh\n", "failed: a\n"},
		},
		{
			"did not build", `
{"ImportPath":"a","Action":"build-output","Output":"a.go:1: syntax error\n"}
{"ImportPath":"a","Action":"build-fail"}
{"Action":"fail","Package":"a","Elapsed":0,"FailedBuild":"a"}
`, false,
			[]string{"a.go:1: syntax error\n", "failed: a\n"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			summarize(strings.NewReader(strings.TrimSpace(tt.events)), &out).close(&out, tt.ok)
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("does not print %q:\n%s", want, out.String())
				}
			}
		})
	}
}
