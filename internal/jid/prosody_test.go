package jid

import (
	"bufio"
	"encoding/hex"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/xdg-go/stringprep"
)

// Code points between two letters, prepared by Prosody's own library: all up to U+2FFFF and of the tags' block, and one in 101 of the rest, which
// are private or unassigned. It prints hex, or - for a refusal.
const prosodyPrepares = `
package.cpath = "/usr/lib/prosody/?.so;" .. package.cpath
local prep = require "util.encodings".stringprep
local function show(s) return s and (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) or "-" end
for i = 0, 0x10ffff do if (i < 0xd800 or i > 0xdfff) and (i < 0x30000 or i // 0x1000 == 0xe0 or i % 101 == 0) then
	local s = "a" .. utf8.char(i) .. "1"
	print(i, show(prep.nodeprep(s)), show(prep.nameprep(s)), show(prep.resourceprep(s)))
end end`

// What Unicode 3.2 knows is prepared exactly as by Prosody. What it does not know, Prosody's ICU refuses in right-to-left blocks; here it passes.
func TestAsProsody(t *testing.T) {
	t.Parallel()
	lua, err := exec.LookPath("lua5.4")
	if _, missing := os.Stat("/usr/lib/prosody/util/encodings.so"); err != nil || missing != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs Prosody and lua5.4 (apt-get install prosody)")
		}
		t.Skip("skipped: needs Prosody and lua5.4 (apt-get install prosody)")
	}
	cmd := exec.CommandContext(t.Context(), lua, "-e", prosodyPrepares)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for sc := bufio.NewScanner(out); sc.Scan(); lines++ {
		f := strings.Split(sc.Text(), "\t")
		n, err := strconv.Atoi(f[0])
		if err != nil || len(f) != 4 {
			t.Fatalf("lua printed %q", sc.Text())
		}
		for i, p := range []profile{nodeprep, nameprep, resourceprep} {
			got := "-"
			if s, err := p.prepare("a" + string(rune(n)) + "1"); err == nil {
				got = hex.EncodeToString([]byte(s))
			}
			if got != f[i+1] && (f[i+1] != "-" || !stringprep.TableA1.Contains(rune(n))) {
				t.Errorf("U+%04X in profile %d: %s, Prosody has %s", n, i, got, f[i+1])
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if lines < 0x30000-0x800 {
		t.Errorf("compared %d code points", lines)
	}
}
