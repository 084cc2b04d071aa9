package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"heffl-mcp/heffl"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxSearch bounds the text of a search, in characters: it travels in a URL.
	maxSearch = 100
	// maxPages bounds how many pages of a list one look reads. A look that would need more decides
	// nothing.
	maxPages = 5
	// clockSlack is how far two clocks may differ once their difference is taken off: Date has whole seconds.
	clockSlack = 2 * time.Second
	// indexLag is how far the search may lag behind the list.
	indexLag = time.Minute
)

// A thing is a kind of thing that this program makes.
type thing struct {
	name  string // in words, one of it
	many  string // and several
	facts []fact // what people recognise one by
}

// A fact is a member of Heffl's answer, and the word before it, if any.
type fact struct{ name, before string }

// inWords names one thing as people recognise it: by its ID, and what of its facts the answer has.
func (t thing) inWords(row object, id string) string {
	var b strings.Builder
	b.Grow(256)
	b.WriteString(id)
	between := " ("
	for _, f := range t.facts {
		if v, ok := row.get(f.name); ok && string(v) != "null" {
			b.WriteString(between)
			b.WriteString(f.before)
			writeBrief(&b, v)
			between = ", "
		}
	}
	if b.Len() > len(id) {
		b.WriteByte(')')
	}
	return b.String()
}

// told is inWords with the time of its making, so that a person can tell it from another.
func (t thing) told(row object) string {
	id, _ := row.str("id")
	s := t.inWords(row, id)
	if at, ok := row.time("createdAt"); ok {
		s += ", created " + at.UTC().Format(time.RFC3339)
	}
	return s
}

// answer says what became of one, and what of it Heffl did not confirm.
func (t thing) answer(sent object, made *found, how string) *answer {
	made.object = answeredObject(made.object)
	row := parse(made.object)
	a := &answer{id: made.id, structured: made.object, outcome: how, meta: map[string]any{}}
	switch words := t.inWords(row, made.id); how {
	case replayed:
		by := "with the same arguments"
		if made.forMessage {
			by = "for the same message"
		}
		a.text = fmt.Sprintf("This %s was created by an earlier call %s; nothing was sent now. As it was then: %s.", t.name, by, words)
		a.meta[ours+replayed] = true
	case recovered:
		a.text = fmt.Sprintf("This %s was created by an earlier request that got no answer, and has now been found; no second one was made: %s.", t.name, words)
		a.meta[ours+recovered] = true
	default:
		a.text = "Created the " + t.name + " " + words + "."
	}
	if len(made.differences) > 0 {
		a.text += "\n" + madeOtherwise(made.differences)
		a.meta[ours+"differences"] = made.differences
	}
	a.confirm(compareEcho(sent, row))
	return a
}

// madeOtherwise says that what is there for a message is not what a call asked for.
func madeOtherwise(differences []string) string {
	return "It was made for this message from other arguments, and those of now changed nothing: " + strings.Join(differences, "; ") +
		". Tell the user so. The deal can be changed; only if the user wants two of one message, call again with allowDuplicate: true."
}

// alike stops a first send where something is there that looks like what is to be made; how says in
// which way: "with the same e-mail".
func (t thing) alike(row object, how string) error {
	return &failure{
		outcome: lookAlike,
		meta:    map[string]any{ours + "lookAlike": row.JSON()},
		text: fmt.Sprintf("nothing was sent, because a %s %s is there: %s. If this is that %[1]s, you are done: use it. If the user wants another one, call again with allowDuplicate: true.",
			t.name, how, t.told(row)),
	}
}

// unchecked stops a first send of which it could not be found out whether it would be a second one.
func (t thing) unchecked(err error) error {
	f := *explain(err)
	f.text = fmt.Sprintf("nothing was sent, because it could not be looked up whether such a %s is there already: %s", t.name, f.text)
	return &f
}

// A lookout finds, among the rows of a list of Heffl's, what a send of body has made.
type lookout struct {
	thing
	body object

	// search is the text that a search finds it by, where it is documented what Heffl's search looks
	// into; empty: the list has to be read without.
	search string
	list   func(ctx context.Context, search, cursor string) (*heffl.Page, error) // one page, the newest first
	// like reports whether a row has what was sent of that by which it is recognised.
	like func(row object) bool
	// strange, if not nil, is what else speaks against a row.
	strange func(row object) []string
}

// find looks by the search, and, because a search index can lag behind the data, among the newest
// rows too. What another intent owns is never it. Of several, it is the oldest. Near is a row that is
// like what was sent, but has something else otherwise (Heffl may have changed it, or it is another),
// or does not say when it was made.
func (l lookout) find(ctx context.Context, since time.Time, owned func([]string) (map[string]string, error)) (*found, error) {
	searches := []string{""}
	if l.search != "" {
		searches = []string{cut(l.search, maxSearch), ""}
	}
	var near *found
	for i, search := range searches {
		if i > 0 {
			since = latest(since, time.Now().Add(-indexLag)) // what is older, the search has shown
		}
		like, back, err := l.newest(ctx, search, since)
		if err != nil {
			return nil, err
		}
		if back.After(since) {
			return nil, fmt.Errorf("Heffl has more %s than one look reads", l.many)
		}
		ids := make([]string, len(like))
		for i, row := range like {
			ids[i], _ = row.str("id")
		}
		taken, err := owned(ids)
		if err != nil {
			return nil, err
		}
		for i, row := range slices.Backward(like) {
			if _, ok := taken[ids[i]]; ok || ids[i] == "" {
				continue
			}
			f := &found{id: ids[i], object: row.JSON(), doubts: l.doubts(row)}
			if len(f.doubts) == 0 {
				return f, nil
			}
			near = f
		}
	}
	return near, nil
}

// newest reads the list from its newest row back to since, as far as one look goes, and keeps what is
// like what was sent. It says how far it got. Of rows that do not say when they were made, those that
// one look reads are far enough: they are the newest.
func (l lookout) newest(ctx context.Context, search string, since time.Time) (kept []object, back time.Time, err error) {
	cursor := ""
	for range maxPages {
		page, err := l.list(ctx, search, cursor)
		if err != nil {
			return nil, back, err
		}
		for _, raw := range page.Items {
			row := parse(raw)
			made, ok := row.time("createdAt")
			if ok {
				back = made.Add(clockSlack - page.Clock)
			}
			if ok && back.Before(since) {
				return kept, since, nil
			}
			if l.like(row) {
				kept = append(kept, row)
			}
		}
		if cursor = page.Next; cursor == "" {
			return kept, since, nil
		}
	}
	return kept, back, nil
}

// doubts are what speaks against a row that is like what was sent; none: it is what was made.
func (l lookout) doubts(row object) []string {
	rest := slices.DeleteFunc(slices.Clone(l.body), func(m member) bool {
		sent, _ := l.body.str(m.name)
		is, ok := row.str(m.name)
		same := loosely[m.name]
		return ok && same != nil && same(sent) == same(is)
	})
	_, doubts := compareEcho(rest, row)
	if l.strange != nil {
		doubts = append(doubts, l.strange(row)...)
	}
	if _, ok := row.time("createdAt"); !ok {
		doubts = append(doubts, "Heffl does not say when it was made")
	}
	return doubts
}

// loosely is what remains of texts when that is taken off which Heffl may write in another way.
var loosely = map[string]func(string) string{
	"title": oneSpaced, "name": oneSpaced, "firstName": oneSpaced, "lastName": oneSpaced,
	"email": foldEmail, "phone": digitsOf,
}

func oneSpaced(s string) string { return strings.Join(strings.Fields(s), " ") }

func foldEmail(s string) string {
	return cases.Fold().String(norm.NFKC.String(strings.TrimSpace(s)))
}

// digitsOf are the digits of a phone number, without the 00 that some write for a +; of what has
// none, all.
func digitsOf(s string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	if digits == "" {
		return s
	}
	return strings.TrimPrefix(digits, "00")
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cut is the first n characters of s.
func cut(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

// str is a member that is a string.
func (o object) str(name string) (string, bool) {
	v, ok := o.get(name)
	if !ok || len(v) == 0 || v[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(v, '\\') < 0 && utf8.Valid(v) {
		return string(v[1 : len(v)-1]), true
	}
	var s string
	return s, json.Unmarshal(v, &s) == nil
}

// time is a member that is an RFC 3339 date-time.
func (o object) time(name string) (time.Time, bool) {
	s, _ := o.str(name)
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}
