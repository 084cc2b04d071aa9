package main

import (
	"fmt"
	"strings"
)

// A report is tables in Markdown, which read well in a terminal too.
type report struct{ strings.Builder }

func (r *report) section(title, text string) {
	r.WriteString("## " + title + "\n\n" + text + "\n\n")
}

func (r *report) table(head ...string) {
	r.row(head...)
	r.row(strings.Split(strings.Repeat("---,", len(head)-1)+"---", ",")...)
}

func (r *report) row(cells ...string) { r.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

func (r *report) end() { r.WriteString("\n") }

// A goal is what a ratio or a figure has to be.
type goal struct {
	atLeast, atMost float64 // zero: no such bound
}

func least(n float64) goal { return goal{atLeast: n} }
func most(n float64) goal  { return goal{atMost: n} }

// says is the goal, and whether a figure meets it.
func (g goal) says(is float64) string {
	switch met := "missed"; {
	case g.atLeast > 0:
		if is >= g.atLeast {
			met = "met"
		}
		return fmt.Sprintf("≥ %g: %s", g.atLeast, met)
	case g.atMost > 0:
		if is <= g.atMost {
			met = "met"
		}
		return fmt.Sprintf("≤ %g: %s", g.atMost, met)
	}
	return ""
}

// ms is a time in seconds as people read it.
func ms(seconds float64) string {
	switch {
	case seconds < 0.001:
		return fmt.Sprintf("%.0f µs", seconds*1e6)
	case seconds < 0.1:
		return fmt.Sprintf("%.2f ms", seconds*1e3)
	}
	return fmt.Sprintf("%.0f ms", seconds*1e3)
}

func perSecond(n float64) string { return fmt.Sprintf("%.0f/s", n) }
func times(n float64) string     { return fmt.Sprintf("%.2f", n) }
func mib(kib int) string         { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }
