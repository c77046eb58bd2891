// Command testrun runs go test and prints what ran: a line for each package with its number of tests, whatever a failed test
// printed, the reason of each skipped one, and a closing line. Its arguments are go test's; its exit status is too.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	signal.Ignore(os.Interrupt) // go test gets it too, and we report how it ended
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(1)
	}
	s := summarize(out, os.Stdout)
	err = cmd.Wait()
	s.close(os.Stdout, err == nil)
	if err := s.matrix.save(); err != nil {
		fmt.Fprintln(os.Stderr, "testrun: the matrix:", err)
	}
	if err != nil {
		os.Exit(max(1, cmd.ProcessState.ExitCode()))
	}
}

// event is a line of go test -json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
	Elapsed    float64
}

type summary struct {
	passed, failed, skipped int
	failures                []string
	packages                map[string]*tally
	output                  map[string]*bytes.Buffer // by package and test, until it ends
	matrix                  *matrix
	began                   time.Time
}

type tally struct{ passed, failed, skipped int }

// summarize prints as events arrive, until the stream ends.
func summarize(in io.Reader, out io.Writer) *summary {
	s := &summary{packages: map[string]*tally{}, output: map[string]*bytes.Buffer{}, matrix: newMatrix(), began: time.Now()}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text())
			continue
		}
		s.take(e, out)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(out, "testrun:", err)
		_, _ = io.Copy(io.Discard, in) // go test must not block on a full pipe
	}
	return s
}

func (s *summary) take(e event, out io.Writer) {
	key := e.Package + " " + e.Test
	t := s.packages[e.Package]
	if t == nil {
		t = &tally{}
		if e.Package != "" { // build output has none
			s.packages[e.Package] = t
		}
	}
	switch e.Action {
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "output":
		if s.output[key] == nil {
			s.output[key] = &bytes.Buffer{}
		}
		s.output[key].WriteString(e.Output)
		return
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e, t, out)
		} else {
			s.endTest(e, t, out)
		}
	default:
		return
	}
	delete(s.output, key)
}

func (s *summary) endTest(e event, t *tally, out io.Writer) {
	text := ""
	if b := s.output[e.Package+" "+e.Test]; b != nil {
		text = b.String()
	}
	s.matrix.take(e.Package, e.Test, e.Action, reason(text))
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		s.failures = append(s.failures, e.Package+" "+e.Test)
		fmt.Fprint(out, text)
	case "skip":
		t.skipped++
		fmt.Fprintf(out, "skip  %s %s: %s\n", e.Package, e.Test, reason(text))
	}
}

func (s *summary) endPackage(e event, t *tally, out io.Writer) {
	s.passed, s.failed, s.skipped = s.passed+t.passed, s.failed+t.failed, s.skipped+t.skipped
	switch {
	case e.Action == "fail":
		if t.failed == 0 { // it did not build, panicked, or timed out
			s.failures = append(s.failures, e.Package)
		}
		for key, b := range s.output { // the package's own, and that of tests that have not ended
			if strings.HasPrefix(key, e.Package+" ") {
				fmt.Fprint(out, b.String())
			}
		}
		fmt.Fprintf(out, "FAIL  %s  %s, %d failed (%.1f s)\n", e.Package, tests(t.passed+t.failed+t.skipped), t.failed, e.Elapsed)
	case t.passed+t.skipped == 0:
		fmt.Fprintf(out, "-     %s  no tests\n", e.Package)
	default:
		fmt.Fprintf(out, "ok    %s  %s (%.1f s)\n", e.Package, tests(t.passed+t.skipped), e.Elapsed)
	}
}

func (s *summary) close(out io.Writer, ok bool) {
	fmt.Fprintln(out)
	slices.Sort(s.failures)
	for _, f := range s.failures {
		fmt.Fprintln(out, "failed:", f)
	}
	word := "All tests passed"
	if !ok {
		word = "FAILED"
	}
	fmt.Fprintf(out, "%s: %d passed, %d failed, %d skipped, in %d packages, %s.\n",
		word, s.passed, s.failed, s.skipped, len(s.packages), time.Since(s.began).Round(time.Second))
}

func tests(n int) string {
	if n == 1 {
		return "1 test"
	}
	return fmt.Sprintf("%d tests", n)
}

// reason is what a test said when it skipped itself.
func reason(output string) string {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			if _, said, ok := strings.Cut(line, ".go:"); ok {
				if _, text, ok := strings.Cut(said, ": "); ok {
					return text
				}
			}
			return line
		}
	}
	return "no reason given"
}
