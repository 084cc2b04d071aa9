package cli_test

import (
	"strings"
	"testing"
)

// FuzzParse holds that a command line is understood or refused in a line that shows no long value.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		"", "call a b --limit=5", "--names=a\\,b,c", "--quiet=off -q -- call", "--timeout 5s call - --level high", "-qq", "--", "-", "--=", "call --limit=0x10 a", "turn left", "--names=", "help",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		const key = "heffl_live_9f8e7d6c5b4a39281706"
		for _, args := range [][]string{strings.Split(line, " "), append(strings.Split(line, " "), key)} {
			_, _, err := read(nil, args...)
			if err == nil {
				continue
			}
			if text := err.Error(); strings.Contains(text, key) || len(text) > 500 && len(line) < 200 {
				t.Errorf("%q: %s", args, text)
			}
		}
	})
}
