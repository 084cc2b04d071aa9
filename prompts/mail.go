package prompts

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"
	"golang.org/x/text/encoding/charmap"
)

// A letter is an e-mail taken apart.
type letter struct {
	header    string // its header fields that matter, decoded, one a line; and the names of what was attached
	text      string // what its sender wrote now
	signature string
	quoted    string   // earlier messages that it repeats
	dropped   []string // what is in none of these, in our own words
}

const (
	maxParts = 100     // of a multipart e-mail that are looked at
	maxDepth = 8       // of parts in parts
	maxPart  = 1 << 20 // bytes of a part's text that are read
)

// shownHeaders are the header fields that say who wrote what to whom, and when.
var shownHeaders = []string{"From", "Reply-To", "To", "Cc", "Date", "Subject", "Message-ID"}

// headerLine is the beginning of a header field that a raw e-mail may begin with.
var headerLine = pattern(`(?i)^(from|to|cc|date|subject|message-id|mime-version|received|return-path|delivered-to|reply-to|sender|content-type|dkim-signature|authentication-results|arc-[a-z-]+|x-[a-z0-9-]+|in-reply-to|references|list-[a-z-]+|thread-[a-z]+)\s*:`)

// isRaw says whether a text is an e-mail as it travels, or is pasted with its header: it begins with at least two
// header fields and a blank line.
func isRaw(text string) bool {
	fields := 0
	for line := range strings.Lines(text) {
		switch line = strings.TrimRight(line, "\r\n"); {
		case line == "":
			return fields >= 2
		case headerLine().MatchString(line):
			fields++
		case fields == 0 || !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") && !fieldLine().MatchString(line):
			return false
		}
	}
	return false
}

var fieldLine = pattern(`^[!-9;-~]+:`)

// readLetter takes an e-mail apart: a raw one (.eml) by its parts, anything else as its text.
func readLetter(pasted string) letter {
	pasted = strings.TrimLeft(strings.TrimPrefix(pasted, "\ufeff"), " \t\r\n")
	if strings.HasPrefix(pasted, "From ") { // the line before each e-mail of a mailbox file
		_, pasted, _ = strings.Cut(pasted, "\n")
	}
	l := letter{text: pasted}
	if isRaw(pasted) {
		l = readRaw(pasted)
	} else if looksLikeHTML(pasted) {
		l.text, l.dropped = textOfHTML(pasted)
	}
	l.text, l.quoted = cutQuoted(tidy(l.text))
	l.text, l.signature = cutSignature(l.text)
	return l
}

// readRaw reads an e-mail as it travels.
func readRaw(raw string) (l letter) {
	e, err := message.Read(strings.NewReader(raw))
	if e == nil {
		return letter{text: raw, dropped: []string{"nothing, though it looks like a raw e-mail: it cannot be taken apart"}}
	}
	w := &walk{}
	w.problem(err)
	read := w.part(e, 0)
	l.header = w.fields(mail.Header{Header: e.Header})
	switch {
	case read.text != "":
		l.text = read.text
	case w.parts == 1 && len(w.troubles) > 0: // no part of it can be told; better as it travels than not at all
		_, l.text, _ = strings.Cut(strings.ReplaceAll(raw, "\r\n", "\n"), "\n\n")
	}
	if w.forms {
		l.dropped = append(l.dropped, "the HTML form of the text")
	}
	if read.html {
		l.dropped = append(append(l.dropped, "the HTML (this is its text)"), read.lost...)
	}
	for i, name := range w.attached {
		if i == maxNamed {
			l.header += fmt.Sprintf("Attached: and %d more\n", len(w.attached)-i)
			break
		}
		l.header += "Attached: " + oneLine(name) + "\n"
	}
	if n := len(w.attached); n > 0 {
		l.dropped = append(l.dropped, counted(n, "attachment"))
	}
	l.dropped = append(l.dropped, w.troubles...)
	return l
}

// maxNamed is how many attachments are named.
const maxNamed = 20

// walk goes through the parts of an e-mail.
type walk struct {
	attached []string
	troubles []string
	parts    int
	forms    bool // an HTML form of a text was left out
}

// reading is the text of a part, or of several.
type reading struct {
	text string
	html bool     // some of it was HTML
	lost []string // what was lost by that
}

// and adds what comes after.
func (r reading) and(next reading) reading {
	if r.text != "" && next.text != "" {
		r.text = strings.TrimRight(r.text, "\r\n") + "\n\n"
	}
	return reading{r.text + next.text, r.html || next.html, append(r.lost, next.lost...)}
}

// or is the better of two forms of the same: the one in plain text, if it has any.
func (w *walk) or(a, b reading) reading {
	if a.text != "" && b.text != "" && a.html == b.html {
		return a.and(b)
	}
	if a.text == "" || b.text != "" && a.html {
		a, b = b, a
	}
	w.forms = w.forms || b.html
	return a
}

func (w *walk) problem(err error) {
	var trouble string
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return
	case message.IsUnknownCharset(err):
		trouble = "nothing, but letters may be wrong: a part is in a character set that is not read here"
	case message.IsUnknownEncoding(err):
		trouble = "a part whose encoding is not known"
	default:
		trouble = "what comes after a fault in the e-mail's own form"
	}
	for _, t := range w.troubles {
		if t == trouble {
			return
		}
	}
	w.troubles = append(w.troubles, trouble)
}

func (w *walk) part(e *message.Entity, depth int) (read reading) {
	if w.parts++; w.parts > maxParts || depth > maxDepth {
		w.problem(errors.New("too many parts"))
		return read
	}
	media, params, err := e.Header.ContentType()
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(media), ";")
	}
	if !strings.Contains(media, "/") { // RFC 2045, 5.2
		media = "text/plain"
	}
	if parts := e.MultipartReader(); parts != nil {
		for {
			p, err := parts.NextPart()
			if errors.Is(err, io.EOF) || w.parts > maxParts {
				return read
			}
			w.problem(err)
			if p == nil {
				return read
			}
			if next := w.part(p, depth+1); media == "multipart/alternative" {
				read = w.or(read, next)
			} else {
				read = read.and(next)
			}
		}
	}
	disposition, attachment, _ := e.Header.ContentDisposition()
	name := attachment["filename"]
	if name == "" {
		name = params["name"]
	}
	switch isText := media == "text/plain" || media == "text/html"; {
	case disposition == "attachment", !isText, name != "" && depth > 0:
		if name == "" {
			name = "a part of type " + media
		}
		w.attached = append(w.attached, name)
	default:
		read.text = w.read(e.Body)
		if read.html = media == "text/html" && read.text != ""; read.html {
			read.text, read.lost = textOfHTML(read.text)
		}
	}
	return read
}

// read is the text of a part; of one without, nothing.
func (w *walk) read(body io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(body, maxPart))
	if len(text) == maxPart {
		err = errors.New("too long")
	}
	w.problem(err)
	if strings.TrimSpace(string(text)) == "" {
		return ""
	}
	return string(text)
}

// travelHeaders are fields of which an e-mail as it travels has one at least. Where there is none, somebody or some form has
// written the fields, and each may matter: when it was sent, how many seats.
var travelHeaders = []string{"Message-ID", "MIME-Version", "Received", "Content-Type", "Content-Transfer-Encoding", "Return-Path", "Delivered-To"}

// fields are the header fields that matter, each on a line of its own.
func (w *walk) fields(h mail.Header) string {
	var b strings.Builder
	line := func(name, value string) {
		if value = cut(oneLine(value), maxField); value != "" {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	for _, name := range shownHeaders {
		if !h.Has(name) {
			continue
		}
		value, err := h.Text(name)
		if message.IsUnknownCharset(err) {
			w.problem(err)
		}
		if list, err := h.AddressList(name); err == nil && strings.Contains("From Reply-To To Cc", name) { // each name decoded by itself
			var all []string
			for _, a := range list {
				if all = append(all, strings.TrimSpace(a.Name+" <"+a.Address+">")); len(all) == maxNamed {
					all = append(all, fmt.Sprintf("and %d more", len(list)-maxNamed))
					break
				}
			}
			value = strings.Join(all, ", ")
		}
		line(name, value)
	}
	if slices.ContainsFunc(travelHeaders, h.Has) {
		return b.String()
	}
	for f := h.Fields(); f.Next(); {
		if !slices.ContainsFunc(shownHeaders, func(name string) bool { return strings.EqualFold(name, f.Key()) }) {
			value, err := f.Text()
			w.problem(err)
			line(f.Key(), value)
		}
	}
	return b.String()
}

// maxField is the length of a header field, in characters, that is shown.
const maxField = 1500

// The single-byte character sets of old e-mails; UTF-8 is the library's own. Those of Chinese, Japanese and Korean that
// are not UTF-8 would add a megabyte to the program, and are told to be unread.
var charsets = sync.OnceValue(func() map[string]*charmap.Charmap {
	sets := map[string]*charmap.Charmap{}
	for _, e := range charmap.All {
		if m, ok := e.(*charmap.Charmap); ok {
			sets[letters(m.String())] = m
		}
	}
	for alias, of := range map[string]*charmap.Charmap{
		"iso88591": charmap.Windows1252, "latin1": charmap.Windows1252, // as browsers and mail programs take it
		"cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1252": charmap.Windows1252, "cp1256": charmap.Windows1256,
		"ansi": charmap.Windows1252, "ascii": charmap.Windows1252, "latin9": charmap.ISO8859_15,
	} {
		sets[alias] = of
	}
	return sets
})

// letters are the letters and digits of a name, in small letters.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

func init() {
	message.CharsetReader = func(charset string, input io.Reader) (io.Reader, error) { // the library's one way to be told
		if letters(charset) == "utf8" {
			return input, nil
		}
		// An e-mail is pasted as Unicode, so that what stood in it as it is, is decoded already, whatever its header says.
		raw, err := io.ReadAll(input)
		input = io.MultiReader(bytes.NewReader(raw), failing{err})
		if utf8.Valid(raw) && bytes.ContainsFunc(raw, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return input, nil
		}
		set, ok := charsets()[letters(charset)]
		if !ok {
			return input, fmt.Errorf("character set %q", charset)
		}
		return set.NewDecoder().Reader(input), nil
	}
}

// failing ends a reader as another one has ended.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, cmp.Or(f.err, io.EOF) }
