package prompts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A block is a piece of data in a prompt: it stands in a fence that nothing in it can close.
type block struct {
	Label string // what it is, in capitals
	text  string
	code  string // of the fence
}

// String is the block in its fence.
func (b *block) String() string {
	return fmt.Sprintf("BEGIN %s %s\n%s\nEND %s %s", b.Label, b.code, b.text, b.Label, b.code)
}

// fence gives blocks one code that stands in none of them. It comes from what they hold, so that the same data gives the
// same prompt, and whoever writes the data cannot know it before it is all written.
func fence(blocks ...*block) (code string) {
	all := sha256.New()
	for _, b := range blocks {
		all.Write(fmt.Appendf(nil, "%s %d\n%s", b.Label, len(b.text), b.text))
	}
	return seal(blocks, func() string {
		code := hex.EncodeToString(all.Sum(nil)[:8])
		all.Write([]byte(code)) // for the next one
		return code
	})
}

// seal gives blocks the next code that stands in none of them.
func seal(blocks []*block, next func() string) (code string) {
	code = next()
	for slices.ContainsFunc(blocks, func(b *block) bool { return strings.Contains(strings.ToLower(b.text), code) }) {
		code = next()
	}
	for _, b := range blocks {
		b.code = code
	}
	return code
}

// tidy is a text with one kind of line end, no blanks at the ends of lines and no more than two empty lines in a row.
func tidy(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n", "\v", "\n", "\f", "\n").Replace(strings.ToValidUTF8(text, "\uFFFD"))
	text = trailing().ReplaceAllString(text, "")
	return strings.Trim(manyEmpty().ReplaceAllString(text, "\n\n\n"), "\n")
}

var (
	trailing  = pattern(`(?m)[ \t\x{a0}]+$`)
	manyEmpty = pattern(`\n{4,}`)
)

// pattern compiles a regular expression when it is first asked for: most servers that start are never asked for a prompt.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// visible is a text without what a reader does not see: control characters, marks of the direction of writing, tag characters,
// zero-width ones and the like, which hide instructions from people that a model reads. It says how many there were.
func visible(text string) (seen string, unseen int) {
	seen = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\u200c', r == '\u200d', r == '\ufe0f': // these join letters and make emoji
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			unseen++
			return -1
		}
		return r
	}, text)
	return seen, unseen
}

// oneLine is a text as one line of what can be seen.
func oneLine(text string) string {
	text, _ = visible(tidy(text))
	return strings.Join(strings.Fields(text), " ")
}

// cut is the first n characters of a text.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n]) + "…"
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
