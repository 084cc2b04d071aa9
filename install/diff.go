package install

import (
	"bytes"
	"regexp"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/tailscale/hujson"
)

// maxLine is the longest line that is shown, in bytes.
const maxLine = 200

// secretValue is a value whose name says that it is nobody else's business.
var secretValue = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)([\w-]*(?:key|token|secret|password|authorization|credential)[\w-]*["']?\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*')`)
})

// Diff shows the lines that the edit changes, and of others their brackets alone: they may hold the secrets of other servers. Keys and the like are
// hidden. It is empty if nothing changes.
func (e *Edit) Diff() string {
	before, after := e.Before, e.After
	if dense(before) || dense(after) {
		before, after = laidOut(before), laidOut(after)
	}
	var b strings.Builder
	for line := range strings.Lines(string(diff.Diff(e.Path, before, e.Path, after))) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || !strings.ContainsRune("-+@", rune(line[0])) && strings.Trim(line, " \t{}[],") != "" {
			continue
		}
		line = secretValue().ReplaceAllString(line, `$1"•••"`)
		if len(line) > maxLine {
			line = strings.ToValidUTF8(line[:maxLine], "") + "..."
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// dense reports whether a line of a text shows more than one wants to see of it.
func dense(text []byte) bool {
	if len(bytes.TrimSpace(text)) == 0 {
		return false
	}
	lines := 0
	for line := range bytes.Lines(text) {
		if len(line) > maxLine {
			return true
		}
		lines++
	}
	return lines < 3
}

// laidOut is JSON with its members on lines of their own, for reading; anything else stays.
func laidOut(text []byte) []byte {
	rest, _ := withoutMark(text)
	if formatted, err := hujson.Format(bytes.Clone(rest)); err == nil {
		return formatted
	}
	return text
}
