package workspace

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// reading is a name in the forms in which it is compared, from the letter to what is left when
// everything is dropped that people write differently.
type reading struct {
	exact  string   // letter for letter, but for spaces and characters that nobody sees
	cased  string   // and but for case
	bare   string   // exact without the legal form
	core   string   // bare but for case
	form   string   // the legal form, in one spelling: "ltd"; empty: none
	folded []string // core without accents, punctuation and spaces; a second one writes ä as ae
	words  []string // of the first folded
}

// read takes a text apart. Only where legal is set is a legal form looked for: in the name of a
// person or a tag, "Co" is a word like any other.
func read(text string, legal bool) reading {
	r := reading{exact: clean(text)}
	r.bare = r.exact
	if legal {
		r.bare, r.form = cutForm(r.exact)
	}
	r.cased, r.core = foldCase(r.exact), foldCase(r.bare)
	r.words = foldWords(r.bare)
	r.folded = []string{joinWords(r.words)}
	if other := joinWords(foldWords(umlauts.Replace(r.core))); other != r.folded[0] {
		r.folded = append(r.folded, other)
	}
	return r
}

// readOption reads a value of a custom field, or its label. These are no names: what people leave out
// of a name tells "A-" from "A", "-1" from "1" and "1.5" from "1-5". They are the same but for case,
// spaces, and _ or - where another has a space between letters.
func readOption(text string) reading {
	tidy := []rune(strings.Join(strings.Fields(norm.NFC.String(text)), " "))
	for i := 1; i < len(tidy)-1; i++ {
		if (tidy[i] == '_' || tidy[i] == '-') && ofLetter(tidy[i-1]) && ofLetter(tidy[i+1]) {
			tidy[i] = ' '
		}
	}
	cased := oneCase(string(tidy))
	return reading{exact: text, cased: cased, core: cased}
}

func ofLetter(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) }

// oneCase makes one of what [strings.EqualFold] holds for the same.
func oneCase(text string) string {
	return strings.Map(func(r rune) rune {
		first := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			first = min(first, other)
		}
		return unicode.ToLower(first)
	}, text)
}

// clean drops what is not seen: spaces at the ends and more than one between words, control and
// format characters (marks of the direction of writing, zero-width spaces), and ways of encoding
// the same letter.
func clean(text string) string {
	if isWord(text) {
		return text
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Join(strings.Fields(norm.NFC.String(text)), " ")
}

// isWord reports whether a text is but ASCII that is seen: one word, such as an ID, that has one form.
func isWord(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// foldCase makes of all forms of a letter its small one: Fold does so but for Cherokee, where small
// and capital change places.
func foldCase(text string) string {
	return norm.NFKC.String(strings.ToLower(cases.Fold().String(norm.NFKC.String(text))))
}

// fold is the form in which two texts are the same but for what people write differently. It is
// empty where nothing but punctuation is left.
func fold(text string) string { return joinWords(foldWords(clean(text))) }

// Holding returns a function that reports whether one of some names holds part, but for case, accents,
// punctuation and spaces. Of a part that is nothing but punctuation, that counts. Every name holds an
// empty part. A part that is longer than any name is looked for letter for letter.
func Holding(part string) func(names ...string) bool {
	if tooLong(part) {
		return func(names ...string) bool {
			return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, part) })
		}
	}
	p := read(part, false)
	return func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			n := read(name, false)
			if p.folded[0] == "" {
				return strings.Contains(n.cased, p.cased)
			}
			return slices.ContainsFunc(n.folded, func(whole string) bool {
				return slices.ContainsFunc(p.folded, func(part string) bool { return strings.Contains(whole, part) })
			})
		})
	}
}

// foldWords returns the folded words of a clean text. What is not dropped tells things apart: the + of
// "C++", the # of "C#", the < of "< 50".
func foldWords(text string) []string {
	text = norm.NFKD.String(foldCase(marks.Replace(text)))
	text = strings.Map(func(r rune) rune {
		if isAccent(r) || r == tatweel || isApostrophe(r) {
			return -1
		}
		return r
	}, text)
	text = norm.NFC.String(letters.Replace(text))
	return strings.FieldsFunc(text, func(r rune) bool { return !inWord(r) })
}

// joinWords leaves no space but between digits, so that "1.5" is not 15.
func joinWords(words []string) string {
	var b strings.Builder
	var last rune
	for _, w := range words {
		first, _ := utf8.DecodeRuneInString(w)
		if unicode.IsDigit(last) && unicode.IsDigit(first) {
			b.WriteByte(' ')
		}
		b.WriteString(w)
		last, _ = utf8.DecodeLastRuneInString(w)
	}
	return norm.NFC.String(b.String())
}

func inWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Sc) ||
		unicode.Is(unicode.Sm, r) && r != '|' || strings.ContainsRune("#%@", r)
}

// marks that a name may be written with or without.
var marks = strings.NewReplacer("™", "", "℠", "", "®", "", "©", "")

// tatweel stretches an Arabic word, and means nothing.
const tatweel = 'ـ'

func isApostrophe(r rune) bool { return strings.ContainsRune("'’‘`´ʼʻ", r) }

// isAccent reports whether a combining mark can be left out in writing, as accents, Arabic harakat
// and Hebrew points can. Those of Thai or Hindi are vowels, and those of Kana are other letters.
func isAccent(r rune) bool {
	return unicode.Is(unicode.Mn, r) && r != '\u3099' && r != '\u309A' &&
		unicode.In(r, unicode.Inherited, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Arabic, unicode.Hebrew)
}

// letters are written one for the other, and Unicode does not decompose them.
var letters = strings.NewReplacer(
	"&", " and ",
	"ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "ħ", "h", "ı", "i", "ŋ", "ng", "æ", "ae", "œ", "oe", "ə", "e",
	"ٱ", "ا", "ى", "ي", "ی", "ي", "ې", "ي", "ة", "ه", "ہ", "ه", "ھ", "ه", "ە", "ه", "ک", "ك", "ګ", "ك",
	"٠", "0", "١", "1", "٢", "2", "٣", "3", "٤", "4", "٥", "5", "٦", "6", "٧", "7", "٨", "8", "٩", "9",
	"۰", "0", "۱", "1", "۲", "2", "۳", "3", "۴", "4", "۵", "5", "۶", "6", "۷", "7", "۸", "8", "۹", "9",
)

// umlauts as they are written where a keyboard lacks them.
var umlauts = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "å", "aa", "ø", "oe")

// legalForms are the words at the end of a name that say what kind of firm it is, folded, each with
// the one spelling that it has here.
var legalForms = spellings(`ltd=limited inc=incorporated corp=corporation co=company llc llp lp plc pllc fze fzco fzc fz dmcc wll bsc
	sae saog saoc pjsc psc jsc ojsc cjsc gmbh=gesmbh ag=aktiengesellschaft mbh kg kgaa ohg ug gbr sa=sociedadanonima sarl sas sasu
	eurl snc srl sl slu cv bv nv vof se ab oy oyj as asa aps sro zrt kft doo ood eood ltda=limitada lda kk ooo bhd=berhad
	ltd=محدوده ltd=المحدوده ذمم=شذمم شمم شمع شمعم شمعع`)

// dottedForms are words of their own unless written letter by letter: Aroma Spa, but Aroma S.p.A.
var dottedForms = spellings("spa pc pa sc ev ad dd")

// forewords stand before a legal form and belong to it only there: Pvt Ltd.
var forewords = spellings("pvt=private pty=proprietary sdn=sendirian")

// joiners stand before a legal form and mean nothing: and Co, S.A. de C.V.
var joiners = spellings("and und et de")

// leadingForms stand before the name.
var leadingForms = spellings("شركه موسسه ооо зао оао пао ао ип тоо")

// anyFirm says only that the name is of a firm, so no other form contradicts it.
const anyFirm = "شركه"

// spellings reads words, each with the spelling that it has here: spelling=word, or the word alone. It reads them when they are
// first needed: no start has to wait for that.
func spellings(list string) func() map[string]string {
	return sync.OnceValue(func() map[string]string {
		m := map[string]string{}
		for _, entry := range strings.Fields(list) {
			spelling, word, ok := strings.Cut(entry, "=")
			if ok {
				m[word] = spelling
			}
			m[spelling] = spelling
		}
		return m
	})
}

// attachedForms stand at either end without a space.
var attachedForms = []string{"株式会社", "有限会社", "合同会社", "股份有限公司", "有限责任公司", "有限公司", "주식회사"}

// cutForm cuts the legal form off a clean name: "Acme, Inc." is Acme and inc. It never leaves
// nothing: SAS is the name of a firm too.
func cutForm(name string) (core, form string) {
	for _, f := range attachedForms {
		rest, ok := strings.CutSuffix(name, f)
		if !ok {
			rest, ok = strings.CutPrefix(name, f)
		}
		if rest = trimEnds(rest); ok && rest != "" {
			return rest, f
		}
	}
	tokens := tokenize(name)
	if len(tokens) == 0 {
		return name, ""
	}
	end, forms := cutTail(tokens)
	start := 0
	if f := leadingForms()[tokens[0].folded]; end > 1 && f != "" {
		start = 1
		if f != anyFirm {
			forms = append(forms, f)
		}
	}
	if len(forms) == 0 && start == 0 {
		return name, ""
	}
	from := 0
	if start > 0 {
		from = tokens[start].start
	}
	to := tokens[end-1].end
	return trimEnds(name[from:to] + closing(name[:to], name[to:])), strings.Join(forms, " ")
}

// closing is the bracket that belongs to the last word of the core: Acme (Muscat) LLC.
func closing(core, rest string) string {
	if strings.HasPrefix(rest, ")") && strings.Contains(core, "(") {
		return ")"
	}
	return ""
}

func trimEnds(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(",;-–—&+.\"'«»“”„", r)
	})
}

// token is a run of letters and digits in a name.
type token struct {
	start, end int // bytes
	folded     string
}

func tokenize(name string) []token {
	var tokens []token
	start := -1
	add := func(end int) {
		if start >= 0 {
			tokens = append(tokens, token{start, end, fold(name[start:end])})
		}
		start = -1
	}
	for i, r := range name {
		switch in := unicode.In(r, unicode.L, unicode.M, unicode.N); {
		case !in:
			add(i)
		case start < 0:
			start = i
		}
	}
	add(len(name))
	return tokens
}

// cutTail returns how many tokens are left when the legal forms at the end are cut, and these. One
// token is always left.
func cutTail(tokens []token) (end int, forms []string) {
	end = len(tokens)
	for end > 1 {
		n, form := formAt(tokens[1:end])
		if last := tokens[end-1].folded; form == "" && len(forms) > 0 {
			form = forewords()[last]
			if joiners()[last] != "" {
				end--
				continue
			}
		}
		if form == "" {
			break
		}
		forms = append(forms, form)
		end -= n
	}
	return end, forms
}

// formAt is the legal form that the tokens end with, and how many of them it takes: one word, or
// letters that were separated by dots.
func formAt(tokens []token) (n int, form string) {
	const longest = 6 // letters
	word := ""
	for i := len(tokens) - 1; i >= max(0, len(tokens)-longest) && utf8.RuneCountInString(tokens[i].folded) == 1; i-- {
		word = tokens[i].folded + word
		if f := cmp.Or(legalForms()[word], dottedForms()[word]); f != "" {
			n, form = len(tokens)-i, f // as many as possible: S.A.R.L., not R.L.
		}
	}
	if n == 0 {
		n, form = 1, legalForms()[tokens[len(tokens)-1].folded]
	}
	return n, form
}
