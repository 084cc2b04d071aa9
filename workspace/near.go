package workspace

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

const (
	maxCandidates = 5
	minLikeness   = 0.5     // below this a client is a stranger; of short lists everything is shown
	maxCompared   = 100     // bytes of a name that are compared
	maxEach       = 12      // words of it that are compared one by one
	maxWork       = 1 << 20 // pairs of characters in one comparison of words with a list: some milliseconds
)

// nearest are the records that may have been meant, the likeliest first.
func (q *query) nearest(kind Kind, records []record) []Candidate {
	return new(comparison).nearest(q, kind, records)
}

func (c *comparison) nearest(q *query, kind Kind, records []record) []Candidate {
	type near struct {
		place int
		score float64
	}
	var best []near
	for _, place := range q.inTurn(records) {
		if c.done() && len(best) == maxCandidates {
			break
		}
		n := near{place, c.likeness(q, &records[place])}
		if kind.isLive() && n.score < minLikeness || slices.ContainsFunc(best, func(o near) bool { return records[o.place].id == records[place].id }) {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, n, func(a, b near) int {
			return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.place, b.place))
		})
		if at < maxCandidates {
			best = slices.Insert(best, at, n)
			best = best[:min(len(best), maxCandidates)]
		}
	}
	var list []Candidate
	for _, n := range best {
		list = append(list, records[n.place].candidate(n.score))
	}
	return list
}

// inTurn are the places of the records that can be used. Those come first that have most pairs of
// letters in common with the words: there may be too many for the rest to be compared.
func (q *query) inTurn(records []record) []int {
	type turn struct {
		place  int
		common float64 // of 0 to 1
	}
	var words pairs
	words.add(q.plain.cased)
	words.add(q.legal.folded...)
	var turns []turn
	for i := range records {
		if r := &records[i]; r.misfit == "" {
			turns = append(turns, turn{i, words.common(r.pairs())})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(b.common, a.common) })
	places := make([]int, len(turns))
	for i, t := range turns {
		places[i] = t.place
	}
	return places
}

// pairs is a set of pairs of neighbouring letters, each hashed to one of 256.
type pairs [4]uint64

// add adds the pairs of some texts.
func (p *pairs) add(texts ...string) {
	for _, text := range texts {
		last := rune(0)
		for _, r := range cut(text) {
			hash := uint32(last*31+r) * 0x9E3779B1 >> 24
			p[hash/64] |= 1 << (hash % 64)
			last = r
		}
	}
}

// common is the share of pairs that are in both.
func (p *pairs) common(o *pairs) float64 {
	both, all := 0, 1
	for i := range p {
		both += bits.OnesCount64(p[i] & o[i])
		all += bits.OnesCount64(p[i]) + bits.OnesCount64(o[i])
	}
	return 2 * float64(both) / float64(all)
}

// pairs are those of all that likeness looks at.
func (r *record) pairs() *pairs {
	var all pairs
	for _, names := range [][]reading{r.names, r.stems, {r.at}} {
		for i := range names {
			if all.add(names[i].folded...); r.option {
				all.add(names[i].cased)
			}
		}
	}
	for _, c := range r.codes {
		all.add(c.text)
	}
	all.add(r.email)
	all.add(r.domains...)
	return &all
}

// comparison measures how alike words and names are, as long as that is not too much work.
type comparison struct {
	work int // pairs of characters compared so far
}

// done reports whether it was work enough. What is compared after that is like nothing.
func (c *comparison) done() bool { return c.work >= maxWork }

// likeness is 1 for what is the same and 0 for what has nothing in common with the words.
func (c *comparison) likeness(q *query, r *record) float64 {
	best := 0.0
	if r.option { // of which a part says little: "A +" is no more like "A" than like "A+"
		for i := range r.names {
			best = max(best, c.unedited(q.choice.cased, r.names[i].cased))
		}
		return best
	}
	for _, names := range [][]reading{r.names, r.stems} {
		for i := range names {
			best = max(best, c.names(&q.legal, &names[i]))
		}
	}
	for _, code := range r.codes {
		best = max(best, c.similar(q.plain.cased, code.text))
	}
	const (
		colleague = 0.8  // of how much like the words the firm is called
		stranger  = 0.55 // at most: the one person there is at a firm is not who is meant by its name
	)
	if r.firm && q.email != "" {
		best = min(best, stranger) // nor is the firm meant by an address there
	}
	best = max(best, min(stranger, colleague*c.names(&q.legal, &r.at)))
	domain := cmp.Or(q.domain, domainOf(q.email))
	for _, d := range r.domains {
		if d == domain {
			best = max(best, stranger)
		}
		best = max(best, c.similar(q.domain, d))
	}
	return max(best, c.emails(q.email, r.email))
}

// emails compares what is before the @ where they are of one domain: colleagues have that in common.
func (c *comparison) emails(a, b string) float64 {
	if mine, domain, _ := strings.Cut(a, "@"); domain == domainOf(b) {
		theirs, _, _ := strings.Cut(b, "@")
		return c.similar(mine, theirs)
	}
	return c.similar(a, b)
}

// names compares the whole names and, since words are left out, added and turned around, word by
// word.
func (c *comparison) names(a, b *reading) float64 {
	best := 0.0
	for _, x := range a.folded {
		for _, y := range b.folded {
			best = max(best, c.similar(x, y))
		}
	}
	if len(a.words) == 0 || len(b.words) == 0 {
		return best
	}
	few, many := a.words[:min(len(a.words), maxEach)], b.words[:min(len(b.words), maxEach)]
	if len(few) > len(many) {
		few, many = many, few
	}
	sum := 0.0
	for _, x := range few {
		closest := 0.0
		for _, y := range many {
			closest = max(closest, c.similar(x, y))
		}
		sum += closest
	}
	const wordByWord = 0.9 // says less than the whole
	return max(best, wordByWord*sum/float64(len(few)))
}

// similar is the share of characters that need no edit. A text that holds the other is near it.
func (c *comparison) similar(a, b string) float64 {
	score := c.unedited(a, b)
	a, b = cut(a), cut(b)
	n, m := utf8.RuneCountInString(a), utf8.RuneCountInString(b)
	const enough = 3 // characters of a part that say something
	if min(n, m) >= enough && !c.done() && (strings.Contains(a, b) || strings.Contains(b, a)) {
		score = max(score, 0.6+0.4*float64(min(n, m))/float64(max(n, m)))
	}
	return score
}

// unedited is the share of characters that need no edit.
func (c *comparison) unedited(a, b string) float64 {
	if c.done() {
		return 0
	}
	a, b = cut(a), cut(b)
	n, m := utf8.RuneCountInString(a), utf8.RuneCountInString(b)
	if n == 0 || m == 0 {
		return 0
	}
	c.work += n * m
	return 1 - float64(levenshtein.ComputeDistance(a, b))/float64(max(n, m))
}

func cut(s string) string {
	if len(s) <= maxCompared {
		return s
	}
	return strings.ToValidUTF8(s[:maxCompared], "")
}
