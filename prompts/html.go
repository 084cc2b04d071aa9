package prompts

import (
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// looksLikeHTML says whether a pasted text is HTML.
func looksLikeHTML(text string) bool {
	return regexp.MustCompile(`(?i)^(<!doctype html|<html|<head|<body)[\s>]`).MatchString(text)
}

// Elements whose content nobody sees, and those that begin a line.
var (
	unseen = map[atom.Atom]bool{atom.Script: true, atom.Style: true, atom.Head: true, atom.Template: true, atom.Noscript: true, atom.Object: true, atom.Svg: true, atom.Iframe: true, atom.Textarea: true, atom.Select: true}
	void   = map[atom.Atom]bool{atom.Area: true, atom.Base: true, atom.Br: true, atom.Col: true, atom.Embed: true, atom.Hr: true, atom.Img: true, atom.Input: true, atom.Link: true, atom.Meta: true, atom.Source: true, atom.Track: true, atom.Wbr: true}
	blocks = map[atom.Atom]bool{atom.P: true, atom.Div: true, atom.Tr: true, atom.Table: true, atom.Li: true, atom.Ul: true, atom.Ol: true, atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Blockquote: true, atom.Pre: true, atom.Section: true, atom.Article: true, atom.Header: true, atom.Footer: true, atom.Hr: true, atom.Dl: true, atom.Dt: true, atom.Dd: true, atom.Address: true, atom.Body: true}
)

// paragraphs are the blocks that an empty line keeps apart.
var paragraphs = map[atom.Atom]bool{atom.P: true, atom.Ul: true, atom.Ol: true, atom.Table: true, atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Pre: true, atom.Hr: true}

// inHead are the elements that can be in a head: all others end it.
var inHead = map[atom.Atom]bool{atom.Base: true, atom.Link: true, atom.Meta: true, atom.Noscript: true, atom.Script: true, atom.Style: true, atom.Template: true, atom.Title: true}

// ended is what the start of an element ends of its like, within what.
var ended = map[atom.Atom]struct{ of, within []atom.Atom }{
	atom.Li:    {[]atom.Atom{atom.Li}, []atom.Atom{atom.Ul, atom.Ol}},
	atom.Dt:    {[]atom.Atom{atom.Dt, atom.Dd}, []atom.Atom{atom.Dl}},
	atom.Dd:    {[]atom.Atom{atom.Dt, atom.Dd}, []atom.Atom{atom.Dl}},
	atom.Td:    {[]atom.Atom{atom.Td, atom.Th}, []atom.Atom{atom.Tr, atom.Table}},
	atom.Th:    {[]atom.Atom{atom.Td, atom.Th}, []atom.Atom{atom.Tr, atom.Table}},
	atom.Tr:    {[]atom.Atom{atom.Tr}, []atom.Atom{atom.Table}},
	atom.Tbody: {[]atom.Atom{atom.Thead, atom.Tbody}, []atom.Atom{atom.Table}},
	atom.Tfoot: {[]atom.Atom{atom.Thead, atom.Tbody}, []atom.Atom{atom.Table}},
}

// hidden is what a style says of an element that a reader is not to see: it is not there, has no size, cannot be seen through
// all of it, or stands outside the page. What style sheets and colours hide is not known here.
var hidden = pattern(`(?i)display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all` +
	`|font-size\s*:\s*((0(\.\d+)?|\.\d+|1(\.0+)?)p[xt]|0(r?em|%)?)\s*(;|!|$)|max-height\s*:\s*0(px)?\s*(;|!|$)` +
	`|opacity\s*:\s*(0(\.0\d*)?|\.0\d*)\s*(;|!|$)|(^|[;\s])color\s*:\s*transparent` +
	`|(text-indent|left|top)\s*:\s*-(\d{4}|\d{3,}(\.\d+)?(r?em|%|vw|vh))`)

var styleComment = pattern(`(?s)/\*.*?\*/`)

// maxOpen bounds the elements in one another whose ends are waited for.
const maxOpen = 500

// page turns HTML into the text that a reader of it sees.
type page struct {
	b       strings.Builder
	open    []element
	quote   int  // blockquotes that are open
	gap     bool // an empty line is due before the next word
	begun   bool // the line has something on it
	space   bool // a blank is due before the next word
	images  int
	unshown int // hidden elements with text
}

type element struct {
	name   atom.Atom
	raw    string
	hidden bool // nobody sees it
	code   bool // and nobody is meant to: it is a script or the like
}

// textOfHTML is the text of HTML, and what of it is lost. Quotations begin with > as in plain text.
func textOfHTML(source string) (text string, lost []string) {
	p := &page{}
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if p.images > 0 {
				lost = append(lost, counted(p.images, "image"))
			}
			if p.unshown > 0 {
				lost = append(lost, "text that the HTML hides from its reader")
			}
			return p.b.String(), lost
		case html.TextToken:
			p.text(z.Token().Data)
		case html.StartTagToken, html.SelfClosingTagToken:
			p.start(z.Token())
		case html.EndTagToken:
			p.end(z.Token())
		}
	}
}

func (p *page) isHidden() bool { return len(p.open) > 0 && p.open[len(p.open)-1].hidden }

func (p *page) start(t html.Token) {
	name := t.DataAtom
	if name == atom.Body { // whatever was left open before
		p.open = nil
	}
	p.endImplied(name)
	code := unseen[name] || len(p.open) > 0 && p.open[len(p.open)-1].code
	gone := p.isHidden() || code
	for _, a := range t.Attr {
		gone = gone || a.Key == "hidden" || a.Key == "style" && hidden().MatchString(styleComment().ReplaceAllString(a.Val, ""))
	}
	if name == atom.Img && !gone {
		p.images++
	}
	if !gone {
		switch {
		case name == atom.Br, blocks[name]:
			p.newline(name == atom.Br)
			p.gap = p.gap || paragraphs[name]
		case name == atom.Td, name == atom.Th:
			p.cell()
		}
	}
	if void[name] || t.Type == html.SelfClosingTagToken && name == 0 || len(p.open) >= maxOpen {
		return
	}
	p.open = append(p.open, element{name, t.Data, gone, code})
	if name == atom.Blockquote && !gone {
		p.quote++
	}
	if name == atom.Li && !gone {
		p.text("- ")
	}
}

// end closes the innermost element of the name, with all that is in it. One that was not opened closes nothing.
func (p *page) end(t html.Token) {
	for i := len(p.open) - 1; i >= 0; i-- {
		if p.open[i].raw != t.Data {
			continue
		}
		p.endFrom(i)
		return
	}
}

// endFrom closes the open elements from one on.
func (p *page) endFrom(i int) {
	for _, e := range p.open[i:] {
		if !e.hidden && blocks[e.name] {
			p.newline(false)
			p.gap = p.gap || paragraphs[e.name]
		}
		if !e.hidden && e.name == atom.Blockquote {
			p.quote--
		}
	}
	p.open = p.open[:i]
}

// endImplied closes what the start of an element ends, because end tags may be left out: a head that has no end hides
// nothing, and a hidden paragraph ends where the next one begins.
// https://html.spec.whatwg.org/multipage/syntax.html#optional-tags
func (p *page) endImplied(name atom.Atom) {
	if !inHead[name] {
		p.endOpen([]atom.Atom{atom.Head}, nil)
	}
	if blocks[name] {
		p.endOpen([]atom.Atom{atom.P}, []atom.Atom{atom.Table, atom.Td, atom.Th})
	}
	if e, ok := ended[name]; ok {
		p.endOpen(e.of, e.within)
	}
}

// endOpen closes the innermost open element of some names, unless it is outside an open one of others.
func (p *page) endOpen(of, within []atom.Atom) {
	for i, e := range slices.Backward(p.open) {
		switch {
		case slices.Contains(of, e.name):
			p.endFrom(i)
			return
		case slices.Contains(within, e.name):
			return
		}
	}
}

func (p *page) text(s string) {
	s = strings.ReplaceAll(s, "\u00a0", " ")
	words := strings.Fields(s)
	if n := len(p.open); len(words) > 0 && n > 0 && p.open[n-1].name == atom.Head { // text is no part of a head
		p.endFrom(n - 1)
	}
	if len(words) > 0 && p.isHidden() {
		if !p.open[len(p.open)-1].code {
			p.unshown++
		}
		return
	}
	if len(s) > 0 && strings.TrimLeft(s, " \t\r\n") != s || len(words) == 0 {
		p.space = true
	}
	for i, word := range words {
		if i > 0 || p.space && p.begun {
			p.b.WriteByte(' ')
		}
		if !p.begun {
			if p.gap && p.b.Len() > 0 {
				p.b.WriteString(p.marks() + "\n")
			}
			p.gap = false
			p.b.WriteString(p.marks())
			if p.quote > 0 {
				p.b.WriteByte(' ')
			}
		}
		p.b.WriteString(word)
		p.begun, p.space = true, false
	}
	if len(words) > 0 && strings.TrimRight(s, " \t\r\n") != s {
		p.space = true
	}
}

// newline ends the line, if there is anything on it; broken makes an empty one otherwise.
func (p *page) newline(broken bool) {
	if p.begun {
		p.b.WriteByte('\n')
	} else if broken {
		p.gap = true
	}
	p.begun, p.space = false, false
}

// maxMarks bounds how many > begin a quoted line.
const maxMarks = 10

func (p *page) marks() string { return strings.Repeat(">", min(p.quote, maxMarks)) }

// cell keeps the cells of a row apart.
func (p *page) cell() {
	if p.begun {
		p.b.WriteString(" |")
		p.space = true
	}
}
