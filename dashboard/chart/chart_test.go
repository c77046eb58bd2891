package chart

import (
	"encoding/xml"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	words = Words{Time: "Time", Table: "As a table", Nothing: "No figures yet.", Latest: "Latest", Most: "Most", Keys: "Arrow keys read the values."}
	none  = Unknown
)

var charts = map[string]Chart{
	"lines": {ID: "x", Kind: Lines, Title: "Logins", Unit: "per minute", Since: noon, Step: time.Minute, Words: words,
		Series: []Series{{"Logins", []float64{0, 3, none, 8.25, none, none, 1200, 1}}, {"Denials", []float64{1, 1, 1, 1, 1, 1, 1, 1}}}},
	"area": {ID: "x", Kind: Area, Title: "Sessions", Unit: "sessions", Since: noon, Step: time.Hour, Words: words,
		Series: []Series{{"ios", []float64{4, 4, none, 6}}, {"web", []float64{1, 0, none, 2}}}},
	"bars": {ID: "x", Kind: Bars, Title: "Denials", Unit: "per hour", Since: noon, Step: 6 * time.Hour, Words: words,
		Series: []Series{{"limit", []float64{2, 0, none}}, {"cooldown", []float64{3, 1}}}},
	"hostile": {ID: "x", Kind: Bars, Title: `<script>alert(1)</script>`, Unit: `"><b>`, Since: noon, Step: 24 * time.Hour, Words: words,
		Series: []Series{{`</svg><img src=x onerror=alert(1)>`, []float64{1}}}},
	"nothing": {ID: "x", Kind: Lines, Title: "Latency", Unit: "ms", Since: noon, Step: time.Minute, Words: words, Series: []Series{{"p50", []float64{none, none}}}},
}

func TestCharts(t *testing.T) {
	t.Parallel()
	for name, c := range charts {
		got := strings.ReplaceAll(string(c.HTML()), "><", ">\n<") + "\n"
		file := filepath.Join("testdata", name+".html")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is drawn otherwise; look at it, and run with -update if it is right:\n%s", name, got)
		}
		d := xml.NewDecoder(strings.NewReader(strings.NewReplacer(" data-chart>", ">", " data-chart-box>", ">", " data-chart-cursor ", " ", " data-chart-read hidden", "", " data-absolute", "").Replace(got)))
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, got)
			}
			if e, ok := token.(xml.StartElement); ok {
				if e.Name.Local == "script" || e.Name.Local == "img" || slices.ContainsFunc(e.Attr, func(a xml.Attr) bool { return a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") }) {
					t.Errorf("%s has %v", name, e)
				}
			}
		}
		if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
			t.Errorf("%s has no number:\n%s", name, got)
		}
	}
}

// A value alone is seen, and what is not known is not drawn.
func TestGaps(t *testing.T) {
	t.Parallel()
	c := Chart{Series: []Series{{"", []float64{none, 1, none, 1, 0}}}}
	for kind, want := range map[Kind]string{
		Lines: "M700 0L900 160",
		Area:  "M200 0L300 0L400 0L400 160L300 160L200 160zM600 0L700 0L900 160L1000 160L1000 160L900 160L700 160L600 160z",
		Bars:  "M220 160L220 0L380 0L380 160zM620 160L620 0L780 0L780 160z",
	} {
		if c.Kind = kind; c.path(0, 1) != want {
			t.Errorf("%s: %s, want %s", kind.name(), c.path(0, 1), want)
		}
	}
	if c.Kind = Lines; c.dots(0, 1) != "M300 0h0" {
		t.Errorf("the value alone is %q", c.dots(0, 1))
	}
}

func TestValueTicks(t *testing.T) {
	t.Parallel()
	for greatest, want := range map[float64]string{0: "0 0.5 1", .03: "0 0.01 0.02 0.03", 1: "0 0.5 1", 3: "0 1 2 3", 4: "0 1 2 3 4", 7: "0 2 4 6 8", 10: "0 5 10", 12: "0 5 10 15", 99: "0 50 100",
		12345: "0 5000 10k 15k", 4e6: "0 1M 2M 3M 4M", 2.5e9: "0 1G 2G 3G"} {
		var got []string
		for _, v := range valueTicks(greatest) {
			got = append(got, tickText(v))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("up to %v: %s, want %s", greatest, strings.Join(got, " "), want)
		}
	}
	for e := -6; e < 12; e++ {
		for f := 1.0; f < 10; f += .37 {
			greatest := f * math.Pow(10, float64(e))
			ticks := valueTicks(greatest)
			if top := ticks[len(ticks)-1]; len(ticks) < 3 || len(ticks) > 6 || top < greatest*(1-1e-9) || top > 2.1*greatest {
				t.Errorf("up to %v: %v", greatest, ticks)
			}
		}
	}
}

func TestTimeTicks(t *testing.T) {
	t.Parallel()
	for span, want := range map[time.Duration]string{
		time.Hour:          "12:10 12:20 12:30 12:40 12:50 13:00",
		24 * time.Hour:     "15:00 18:00 21:00 00:00 03:00 06:00 09:00 12:00",
		7 * 24 * time.Hour: "Nov 24 Nov 25 Nov 26 Nov 27 Nov 28 Nov 29 Nov 30",
	} {
		var got []string
		for _, tick := range timeTicks(noon.Add(7*time.Minute), span) {
			got = append(got, tick.text())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v: %s, want %s", span, strings.Join(got, " "), want)
		}
	}
	for days := 1; days < 500; days++ {
		if n := len(timeTicks(noon, time.Duration(days)*24*time.Hour)); n > maxTicks+1 || n < 3 {
			t.Errorf("%d days have %d ticks", days, n)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", .0123: "0.012", .5: "0.5", 9.999: "10", 12.34: "12.3", 123.4: "123", 1234: "1,234", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	if short(-.01) != "0" || short(12.04) != "12" {
		t.Error(short(-.01), short(12.04))
	}
}
