package port

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Processes that pick side by side pick no port twice, though none listens yet.
func TestPick(t *testing.T) {
	if os.Getenv("PICK") != "" { // one of them
		for range 200 {
			n, err := Pick()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stdout.WriteString("port " + strconv.Itoa(n) + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = os.Stdin.Read(make([]byte, 1)) // until all have picked
		return
	}
	const processes = 4
	seen := map[string]bool{}
	for range processes {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPick$")
		cmd.Env = append(os.Environ(), "PICK=1")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
		var said strings.Builder
		for buf := make([]byte, 4096); strings.Count(said.String(), "\n") < 200; {
			n, err := out.Read(buf)
			said.Write(buf[:n])
			if err != nil {
				t.Fatalf("%v after %q", err, said.String())
			}
		}
		for line := range strings.Lines(said.String()) {
			if seen[line] {
				t.Errorf("%s was picked twice", line)
			}
			seen[line] = true
		}
	}
	if len(seen) != processes*200 {
		t.Errorf("%d ports, want %d", len(seen), processes*200)
	}
}
