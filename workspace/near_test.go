package workspace

import (
	"fmt"
	"strings"
	"testing"
)

// catalogue are records of many products, and words of every kind that is hard on them.
func catalogue(n int, name func(int) string) []record {
	records := make([]record, n)
	for i := range records {
		records[i] = newRecord(fmt.Sprint("prd_", i), name(i), false)
		records[i].code(fmt.Sprintf("SKU-%d", i), howSKU)
	}
	return records
}

func ordinary(i int) string { return fmt.Sprintf("Annual licence number %d, with support", i) }

func hostile(i int) string { return strings.Repeat(fmt.Sprintf("ab%d ", i), 2000) }

func hardWords() []string {
	words := []string{strings.Repeat("x", maxWords), strings.Repeat("é", maxWords), strings.Repeat("\ufdfa", maxWords/18), strings.Repeat("a ", maxWords/2), strings.Repeat("ltd ", maxWords/4)}
	for size := 2; size < 20; size++ {
		words = append(words, strings.Repeat(strings.Repeat("b", size)+" ", maxWords/(size+1)))
	}
	return words
}

// However hard words and names are to compare, the work has a bound.
func TestNearestIsBounded(t *testing.T) {
	t.Parallel()
	const oneMore = maxCompared * maxCompared // what is begun is ended
	for what, records := range map[string][]record{"ordinary": catalogue(3000, ordinary), "hostile": catalogue(500, hostile)} {
		for _, words := range hardWords() {
			var c comparison
			if list := c.nearest(newQuery(words), Product, records); len(list) != maxCandidates || c.work == 0 || c.work > maxWork+oneMore {
				t.Errorf("nearest(%.20q) of %d %s names = %d candidates after comparing %d pairs, want %d after at most %d", words, len(records), what, len(list), c.work, maxCandidates, maxWork+oneMore)
			}
		}
	}
}

// Where there are too many to be compared, those go first that are likely.
func TestNearestOfMany(t *testing.T) {
	t.Parallel()
	records := catalogue(6000, ordinary)
	records[5000] = newRecord("prd_wanted", "Premium support", false)
	records[5001] = newRecord("prd_long", "Premium support for all who are with us, day and night", false)
	records[5002] = newRecord("prd_code", "Something else", false)
	records[5002].code("PS/77-b", howSKU)
	for words, want := range map[string]string{
		"prmium supprt": "prd_wanted", "support, premium": "prd_wanted", "premium suppor for all who are with us, day and night": "prd_long", "ps/77b": "prd_code", "annal licence number 17 with support": "prd_17",
	} {
		var c comparison
		list := c.nearest(newQuery(words), Product, records)
		if len(list) == 0 || list[0].ID != want {
			t.Errorf("nearest(%q) = %+v, want %s first", words, list, want)
		}
		if c.work < maxWork {
			t.Errorf("nearest(%q) compared %d pairs, which is no work", words, c.work)
		}
	}
}

// Words of any length are refused for their length, without being read. It counts allocations, so it
// does not run beside others.
func TestTooLongIsNotRead(t *testing.T) {
	words := strings.Repeat("\ufb01", 1<<20) // a ligature of two letters: normalizing it makes a copy
	if n := testing.AllocsPerRun(10, func() {
		if !tooLong(words) {
			t.Errorf("tooLong(%d bytes) = false", len(words))
		}
	}); n > 0 {
		t.Errorf("tooLong(%d bytes) makes %v allocations, want none", len(words), n)
	}
}

// BenchmarkNearest is what it costs to refuse words.
func BenchmarkNearest(b *testing.B) {
	for _, of := range []struct {
		what    string
		records []record
	}{{"ordinary", catalogue(5000, ordinary)}, {"hostile", catalogue(5000, hostile)}} {
		for _, words := range append(hardWords()[:6], "Annal licence 4999", "premium supprt") {
			b.Run(fmt.Sprintf("%s/%.10s", of.what, words), func(b *testing.B) {
				for b.Loop() {
					newQuery(words).nearest(Product, of.records)
				}
			})
		}
	}
}
