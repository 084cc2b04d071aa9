package workspace

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

const (
	maxCandidates = 5
	minLikeness   = 0.5 // below this a client is a stranger; of short lists everything is shown
	maxCompared   = 100 // characters of a name that are compared
)

// nearest are the records that may have been meant, the likeliest first.
func (q *query) nearest(kind Kind, records []record) []Candidate {
	var list []Candidate
	for i := range records {
		r := &records[i]
		score := q.likeness(r)
		if r.misfit != "" || kind.isLive() && score < minLikeness || slices.ContainsFunc(list, func(c Candidate) bool { return c.ID == r.id }) {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, score, func(c Candidate, s float64) int {
			return cmp.Or(cmp.Compare(s, c.Score), -1) // after those of the same score
		})
		if at < maxCandidates {
			list = slices.Insert(list, at, r.candidate(score))
			list = list[:min(len(list), maxCandidates)]
		}
	}
	return list
}

// likeness is 1 for what is the same and 0 for what has nothing in common with the words.
func (q *query) likeness(r *record) float64 {
	best := 0.0
	for _, names := range [][]reading{r.names, r.stems} {
		for i := range names {
			best = max(best, q.legal.likeness(&names[i]))
		}
	}
	for _, c := range r.codes {
		best = max(best, similar(q.plain.cased, c.text))
	}
	const colleague = 0.8
	best = max(best, colleague*q.legal.likeness(&r.at))
	domain := cmp.Or(q.domain, domainOf(q.email))
	for _, d := range r.domains {
		if d == domain {
			best = max(best, colleague)
		}
		best = max(best, similar(q.domain, d))
	}
	return max(best, similar(q.email, r.email))
}

// likeness compares the whole names and, since words are left out, added and turned around, word
// by word.
func (a *reading) likeness(b *reading) float64 {
	best := 0.0
	for _, x := range a.folded {
		for _, y := range b.folded {
			best = max(best, similar(x, y))
		}
	}
	if len(a.words) == 0 || len(b.words) == 0 {
		return best
	}
	few, many := a.words, b.words
	if len(few) > len(many) {
		few, many = many, few
	}
	sum := 0.0
	for _, x := range few {
		closest := 0.0
		for _, y := range many {
			closest = max(closest, similar(x, y))
		}
		sum += closest
	}
	const wordByWord = 0.9 // says less than the whole
	return max(best, wordByWord*sum/float64(len(few)))
}

// similar is the share of characters that need no edit. A text that holds the other is near it.
func similar(a, b string) float64 {
	a, b = cut(a), cut(b)
	n, m := utf8.RuneCountInString(a), utf8.RuneCountInString(b)
	if n == 0 || m == 0 {
		return 0
	}
	score := 1 - float64(levenshtein.ComputeDistance(a, b))/float64(max(n, m))
	const enough = 3 // characters of a part that say something
	if min(n, m) >= enough && (strings.Contains(a, b) || strings.Contains(b, a)) {
		score = max(score, 0.6+0.4*float64(min(n, m))/float64(max(n, m)))
	}
	return score
}

func cut(s string) string {
	if len(s) <= maxCompared {
		return s
	}
	return strings.ToValidUTF8(s[:maxCompared], "")
}
