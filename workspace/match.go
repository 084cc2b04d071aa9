package workspace

import (
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// level is how well a thing fits the words, the best first. Only things of the best level that any
// reaches are considered, and only one may reach it.
type level int

const (
	byID       level = iota + 1
	byExact          // its name, letter for letter; its e-mail, number, SKU or whole phone number
	byCase           // its name but for case; its domain
	byForm           // its name but for the spelling of the legal form
	byFirm           // its name but for the legal form, which only one of the two has; a domain that its e-mail has
	byFold           // its name, folded, with the same legal form
	byFoldFirm       // its name, folded, but for the legal form
	byPart           // a first name that is one's own, or a phone number without its country code
	noMatch
)

// searchFinds is the last level of a name that a search for the words finds, if that looks for them as
// they stand but for case. To fold more, one must have the whole list.
const searchFinds = byFirm

// surelyFound reports whether a search by Heffl is sure to have found all that fits as well as f. It is
// documented to look into names and e-mails, and that of deals into titles and numbers. What it finds
// by a domain or phone number, it may find of one thing and not of the next.
func surelyFound(kind Kind, f fit) bool {
	switch f.how {
	case howName, howFolded:
		return f.level <= searchFinds
	case howEmail:
		return true
	case howNumber:
		return kind == Deal
	}
	return false
}

// What a match goes by, as [Match.How] says it.
const (
	howID     = "id"
	howName   = "name"
	howFolded = "folded name"
	howFirst  = "first name"
	howEmail  = "e-mail"
	howDomain = "domain"
	howPhone  = "phone"
	howNumber = "number"
	howKey    = "key"
	howSKU    = "SKU"
)

// query is the user's words, understood in every way they may be meant.
type query struct {
	input  string
	plain  reading
	legal  reading // with its legal form apart
	turned reading // "Keller, Anna" as "Anna Keller"; zero: there is no comma
	choice reading // as an option is read
	email  string
	domain string
	phone  phone

	exactly bool // only what is called so letter for letter fits
}

func newQuery(words string) *query {
	q := &query{input: words, plain: read(words, false), choice: readOption(words)}
	text := q.plain.exact
	q.legal = q.plain
	q.email = emailIn(text)
	q.domain = domainIn(text)
	q.phone = phoneIn(text)
	if q.email == "" && q.domain == "" {
		q.legal = read(words, true)
	}
	if last, first, ok := strings.Cut(text, ","); ok && strings.TrimSpace(first) != "" {
		q.turned = read(first+" "+last, false)
	}
	return q
}

// emailIn is the address in "sara@acme.example", "mailto:..." or "Sara <sara@acme.example>".
func emailIn(text string) string {
	if !strings.Contains(text, "@") {
		return ""
	}
	a, err := mail.ParseAddress(strings.TrimPrefix(text, "mailto:"))
	if err != nil {
		return ""
	}
	return foldCase(a.Address)
}

// domainIn is the domain of a host name or URL, without www; empty for any other text.
func domainIn(text string) string {
	if strings.ContainsFunc(text, unicode.IsSpace) || strings.Contains(text, "@") {
		return ""
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	host := strings.TrimPrefix(strings.TrimSuffix(foldCase(u.Hostname()), "."), "www.")
	labels := strings.Split(host, ".")
	top := labels[len(labels)-1]
	if len(labels) < 2 || slices.Contains(labels, "") || len(top) < 2 || strings.ContainsFunc(top, unicode.IsDigit) ||
		strings.ContainsFunc(host, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) && r != '.' && r != '-' }) {
		return ""
	}
	return host
}

func domainOf(email string) string {
	_, domain, _ := strings.Cut(email, "@")
	return strings.TrimPrefix(domain, "www.")
}

// phone is a phone number: its digits, without 00 or + in front.
type phone struct {
	digits string
	whole  bool // it begins with its country code
}

// The number of digits in a phone number: E.164 has at most 15; fewer than 7 are an extension or
// some other number.
const (
	minPhone = 7
	maxPhone = 15
)

// phoneIn is the phone number that a text is; zero for any other text.
func phoneIn(text string) phone {
	text = letters.Replace(strings.TrimPrefix(text, "tel:")) // for its digits
	text = strings.TrimSpace(strings.ReplaceAll(text, "(0)", ""))
	if strings.Trim(text, "0123456789 +()-./\u2010\u2011\u2012\u2013") != "" || strings.LastIndexByte(text, '+') > 0 {
		return phone{}
	}
	p := phone{whole: strings.HasPrefix(text, "+")}
	p.digits = strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
	if rest, ok := strings.CutPrefix(p.digits, "00"); ok {
		p.digits, p.whole = rest, true
	}
	if len(p.digits) < minPhone || len(p.digits) > maxPhone {
		return phone{}
	}
	return p
}

// level compares two numbers. One without its country code, or with the 0 that is dialled within
// a country, is a part of the other.
func (p phone) level(other phone) level {
	switch {
	case p.digits == "" || other.digits == "":
		return noMatch
	case p.digits == other.digits:
		return byExact
	case p.whole && other.whole:
		return noMatch
	}
	a, b := p.local(), other.local()
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) >= minPhone && strings.HasSuffix(b, a) {
		return byPart
	}
	return noMatch
}

func (p phone) local() string {
	if p.whole {
		return p.digits
	}
	return strings.TrimLeft(p.digits, "0")
}

// match says how well a record fits the words, and by what.
func (q *query) match(r *record) (level, string) {
	l, how := q.matchAny(r)
	if q.exactly && l > byExact {
		return noMatch, ""
	}
	return l, how
}

func (q *query) matchAny(r *record) (level, string) {
	switch {
	case q.plain.exact == "":
		return noMatch, ""
	case r.option:
		return q.matchOption(r)
	case q.plain.exact == r.id:
		return byID, howID
	}
	best, how := noMatch, ""
	consider := func(l level, by string) {
		if l < best {
			best, how = l, by
		}
	}
	for i := range r.names {
		l := q.name(&r.names[i], r.firm)
		consider(l, nameOrFolded(l))
	}
	for i := range r.stems {
		l := max(q.name(&r.stems[i], r.firm), byCase)
		consider(l, nameOrFolded(l))
	}
	for _, c := range r.codes {
		if c.text == q.plain.cased {
			consider(byExact, c.how)
		}
	}
	if q.email != "" && q.email == r.email {
		consider(byExact, howEmail)
	}
	consider(q.domainLevel(r), howDomain)
	for _, p := range r.phones {
		consider(q.phone.level(p), howPhone)
	}
	if sharesOne(q.plain.folded, r.first) {
		consider(byPart, howFirst)
	}
	return best, how
}

// matchOption: a value is no better than a label. What is the one of this option may be the other of
// another, and nothing says which was meant.
func (q *query) matchOption(r *record) (level, string) {
	value, label := q.choice.level(&r.names[0]), q.choice.level(&r.names[1])
	if value == byExact {
		return value, howID
	}
	best := min(value, label)
	return best, nameOrFolded(best)
}

func nameOrFolded(l level) string {
	if l == byExact {
		return howName
	}
	return howFolded
}

// name compares the words with one name.
func (q *query) name(n *reading, firm bool) level {
	words := &q.plain
	if firm {
		words = &q.legal
	}
	l := words.level(n)
	if q.turned.exact != "" {
		l = min(l, max(q.turned.level(n), byFold))
	}
	return l
}

func (a *reading) level(b *reading) level {
	sameForm := a.form == b.form
	oneForm := !sameForm && (a.form == "" || b.form == "")
	switch {
	case a.exact == b.exact:
		return byExact
	case a.cased == b.cased:
		return byCase
	case !sameForm && !oneForm:
		return noMatch // Acme LLC is not Acme GmbH
	case a.core == b.core && sameForm:
		return byForm
	case a.core == b.core:
		return byFirm
	case !sharesOne(a.folded, b.folded):
		return noMatch
	case sameForm:
		return byFold
	}
	return byFoldFirm
}

func sharesOne(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return s != "" && slices.Contains(b, s) })
}

// domainLevel: a domain names the firm before its people.
func (q *query) domainLevel(r *record) level {
	switch {
	case !slices.Contains(r.domains, q.domain):
		return noMatch
	case r.firm:
		return byCase
	}
	return byFirm
}

// verdict is what words turn out to name among some records.
type verdict struct {
	match  Match
	best   []fit            // what fits best, be it one thing or several
	failed *UnresolvedError // why there is no match; nil: there is one
}

// decide picks the one record that the words name, or says why there is none.
func (q *query) decide(kind Kind, records []record, partial bool) verdict {
	var fits, misfits []fit
	for i := range records {
		r := &records[i]
		l, how := q.match(r)
		if l == noMatch {
			continue
		}
		if r.misfit != "" {
			misfits = addFit(misfits, fit{r, l, how})
		} else {
			fits = addFit(fits, fit{r, l, how})
		}
	}
	failed := &UnresolvedError{Kind: kind, Input: q.input, Partial: partial}
	v := verdict{best: fits, failed: failed}
	// Something that cannot be used, but that the words fit better, is what was meant. What another
	// pipeline calls a stage says nothing of this one.
	better := len(misfits) > 0 && (len(fits) == 0 || misfits[0].level < fits[0].level && misfits[0].record.misfit != OtherPipeline)
	switch {
	case !partial && better:
		m := misfits[0] // what fits less well was not meant
		failed.Elsewhere = &Elsewhere{Match: m.as(q.input), Why: m.record.misfit, Where: m.record.where}
		failed.Candidates = q.nearest(kind, records)
	case len(fits) == 0:
		failed.Candidates = q.nearest(kind, records)
	case len(fits) == 1 && (!partial || fits[0].level == byID):
		v.match, v.failed = fits[0].as(q.input), nil
	default:
		failed.Ambiguous, failed.Matches = len(fits) > 1, len(fits)
		for _, f := range fits[:min(len(fits), maxCandidates)] {
			failed.Candidates = append(failed.Candidates, f.record.candidate(1))
		}
	}
	return v
}

type fit struct {
	record *record
	level  level
	how    string
}

func (f fit) as(input string) Match {
	return Match{Input: input, ID: f.record.id, Name: f.record.name, How: f.how}
}

// addFit keeps those of the best level, and each thing once: rows can shift from one page to the
// next while a list is read, and a row can come from two lists.
func addFit(list []fit, f fit) []fit {
	switch {
	case len(list) == 0 || f.level < list[0].level:
		return []fit{f}
	case f.level > list[0].level, slices.ContainsFunc(list, func(o fit) bool { return o.record.id == f.record.id }):
		return list
	}
	return append(list, f)
}

func (r *record) candidate(score float64) Candidate {
	return Candidate{ID: r.id, Name: r.name, Facts: slices.Clone(r.facts), Score: score}
}
