package workspace

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"  Northwind ", "northwind"},
		{"North-Wind", "northwind"},
		{"O'Neill", "oneill"},
		{"O’NEILL", "oneill"},
		{"Núñez", "nunez"},
		{"Nu\u0301n\u0303ez", "nunez"},
		{"Straße", "strasse"},
		{"STRASSE", "strasse"},
		{"Sørensen", "sorensen"},
		{"Łódź", "lodz"},
		{"İstanbul", "istanbul"},
		{"Iğdır", "igdir"},
		{"ΟΔΥΣΣΕΥΣ", "οδυσσευσ"},
		{"Ёлка", "елка"},
		{"ＡＣＭＥ", "acme"},
		{"ﬁne", "fine"},
		{"Smith & Sons", "smithandsons"},
		{"VIP ⭐", "vip"},
		{"Acme™", "acme"},
		{"Acme\u200f \u202bGulf\u202c", "acmegulf"},
		{"1.5", "1 5"},
		{"Plan 15", "plan15"},
		{"10-50 seats", "10 50seats"},
		{"C++", "c++"},
		{"C#", "c#"},
		{"> 50", ">50"},
		{"100 %", "100%"},
		{"شَرِكَة النُّور", "شركهالنور"},
		{"شركـــة النور", "شركهالنور"},
		{"أحمد", "احمد"},
		{"إيمان آل", "ايمانال"},
		{"ليلى", "ليلي"},
		{"مؤسسة", "موسسه"},
		{"کریم", "كريم"},
		{"٢٠٢٦", "2026"},
		{"שָׁלוֹם", "שלום"},
		{"กิน", "กิน"}, // its marks are vowels
		{"กัน", "กัน"},
		{"が", "が"}, // not か
		{"ガス", "ガス"},
		{"한국", "한국"},
		{"株式会社 東京", "株式会社東京"},
		{"हिन्दी", "हिन्दी"},
		{"…!?", ""},
		{"", ""},
		{"\xff", ""},
	} {
		if got := fold(tt.in); got != tt.want {
			t.Errorf("fold(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestCutForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, core, form string }{
		{"Acme", "Acme", ""},
		{"Acme Ltd", "Acme", "ltd"},
		{"Acme Ltd.", "Acme", "ltd"},
		{"Acme Limited", "Acme", "ltd"},
		{"Acme, Inc.", "Acme", "inc"},
		{"Acme Incorporated", "Acme", "inc"},
		{"Acme Corp", "Acme", "corp"},
		{"Acme L.L.C.", "Acme", "llc"},
		{"Acme LLC", "Acme", "llc"},
		{"Acme (Pvt) Ltd", "Acme", "ltd pvt"},
		{"Acme Private Limited", "Acme", "ltd pvt"},
		{"Acme Private", "Acme Private", ""},
		{"Acme Co., Ltd.", "Acme", "ltd co"},
		{"Acme Sdn. Bhd.", "Acme", "bhd sdn"},
		{"Acme FZ-LLC", "Acme", "llc fz"},
		{"Acme FZE", "Acme", "fze"},
		{"Acme (Muscat) LLC", "Acme (Muscat)", "llc"},
		{"Acme Muscat (L.L.C)", "Acme Muscat", "llc"},
		{"Müller GmbH & Co. KG", "Müller", "kg co gmbh"},
		{"Smith and Co", "Smith", "co"},
		{"Smith & Co.", "Smith", "co"},
		{"Zürcher Möbel AG", "Zürcher Möbel", "ag"},
		{"Ferrero S.p.A.", "Ferrero", "spa"},
		{"Aroma Spa", "Aroma Spa", ""},
		{"Dupont S.A.R.L.", "Dupont", "sarl"},
		{"Dupont S.A.", "Dupont", "sa"},
		{"Dupont SAS", "Dupont", "sas"},
		{"Cemex S.A. de C.V.", "Cemex", "cv sa"},
		{"SAS", "SAS", ""},
		{"Ltd", "Ltd", ""},
		{"Philips N.V.", "Philips", "nv"},
		{"Vopak B.V.", "Vopak", "bv"},
		{"Volvo AB", "Volvo", "ab"},
		{"Vitamin C", "Vitamin C", ""},
		{"Team A B", "Team", "ab"}, // a loss: Team then fits too, if nothing else does
		{"شركة النور للتجارة", "النور للتجارة", ""},
		{"شركة النور للتجارة ذ.م.م", "النور للتجارة", "ذمم"},
		{"النور للتجارة ش.م.م", "النور للتجارة", "شمم"},
		{"شركة", "شركة", ""},
		{"ООО «Ромашка»", "Ромашка", "ооо"},
		{"株式会社東京電力", "東京電力", "株式会社"},
		{"東京電力 株式会社", "東京電力", "株式会社"},
		{"株式会社", "株式会社", ""},
		{"华为技术有限公司", "华为技术", "有限公司"},
		{"", "", ""},
		{"!!!", "!!!", ""},
	} {
		if core, form := cutForm(tt.in); core != tt.core || form != tt.form {
			t.Errorf("cutForm(%q) = %q, %q; want %q, %q", tt.in, core, form, tt.core, tt.form)
		}
	}
}

func TestWordsAreUnderstood(t *testing.T) {
	t.Parallel()
	type understood struct {
		email, domain string
		phone         phone
		turned        string
	}
	for in, want := range map[string]understood{
		"sara@Acme.example":                  {email: "sara@acme.example"},
		"mailto:sara@acme.example":           {email: "sara@acme.example"},
		"Sara Haddad <Sara@acme.example>":    {email: "sara@acme.example"},
		`"Haddad, Sara" <sara@acme.example>`: {email: "sara@acme.example", turned: `Sara" <sara@acme.example> "Haddad`},
		"sara@":                              {},
		"@acme":                              {},
		"acme.example":                       {domain: "acme.example"},
		"www.Acme.example":                   {domain: "acme.example"},
		"https://www.acme.example/":          {domain: "acme.example"},
		"http://acme.example:8080/a?b=c#d":   {domain: "acme.example"},
		"acme.example/about":                 {domain: "acme.example"},
		"acme.example.":                      {domain: "acme.example"},
		"münchen.example":                    {domain: "münchen.example"},
		"acme":                               {},
		"Acme Inc.":                          {},
		"S.A.":                               {},
		"10.0.0.1":                           {},
		"a..example":                         {},
		"+44 20 7123 0000":                   {phone: phone{"442071230000", true}},
		"0044 20 7123 0000":                  {phone: phone{"442071230000", true}},
		"+44 (0)20 7123-0000":                {phone: phone{"442071230000", true}},
		"(020) 7123.0000":                    {phone: phone{"02071230000", false}},
		"tel:+96824000000":                   {phone: phone{"96824000000", true}},
		"+٩٦٨ ٢٤٠٠٠٠٠٠":                      {phone: phone{"96824000000", true}},
		"123456":                             {},
		"1234567890123456":                   {},
		"12+345678":                          {},
		"Suite 1234567":                      {},
		"Keller, Anna":                       {turned: "Anna Keller"},
		"Keller,":                            {},
	} {
		q := newQuery(in)
		if got := (understood{q.email, q.domain, q.phone, q.turned.exact}); got != want {
			t.Errorf("newQuery(%q) = %+v, want %+v", in, got, want)
		}
	}
}

func TestPhonesCompare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want level
	}{
		{"+442071230000", "+44 20 7123 0000", byExact},
		{"+442071230000", "00442071230000", byExact},
		{"+442071230000", "020 7123 0000", byPart},
		{"+442071230000", "71230000", byPart},
		{"+442071230000", "1230000", byPart},
		{"02071230000", "2071230000", byPart},
		{"+442071230000", "+12071230000", noMatch},
		{"+442071230000", "+971442071230000", noMatch}, // both whole
		{"+442071230000", "7123000", noMatch},
		{"+96824000000", "+96824111111", noMatch},
	} {
		a, b := phoneIn(tt.a), phoneIn(tt.b)
		if got, back := a.level(b), b.level(a); got != tt.want || back != got {
			t.Errorf("%s against %s = %d, and back %d; want %d", tt.a, tt.b, got, back, tt.want)
		}
	}
}

func TestHolding(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		part  string
		names []string
		want  bool
	}{
		{"nor", []string{"Northwind"}, true},
		{"WIND", []string{"Northwind"}, true},
		{"wind", []string{"Acme", "Northwind"}, true},
		{"wind", []string{"Acme", ""}, false},
		{"wind", nil, false},
		{"jose nunez", []string{"José Núñez"}, true},
		{"zuercher", []string{"Zürcher Möbel AG"}, true},
		{"Möbel AG", []string{"Zurcher Moebel AG"}, true},
		{"at-risk", []string{"At risk (2026)"}, true},
		{"شركة ال", []string{"شَركة النور"}, true},
		{"15", []string{"1.5"}, false},
		{"c++", []string{"C"}, false},
		{"+", []string{"C++"}, true},
		{"-", []string{"A - B"}, true},
		{"-", []string{"AB"}, false},
		{" \u200f", []string{"A"}, true}, // nothing is held by everything
		{"", []string{""}, true},
	} {
		if got := Holding(tt.part)(tt.names...); got != tt.want {
			t.Errorf("Holding(%q)(%q) = %t, want %t", tt.part, tt.names, got, tt.want)
		}
	}
}

// FuzzFold holds that what is folded stays as it is, and that folding forgets case and spaces.
func FuzzFold(f *testing.F) {
	for _, s := range []string{"Zürcher Möbel AG", "شركة النور", "C++ 1.5", "ᄀ ᅡ", "か ゙", "ŉ ǰ ﬃ ℀ ½", "İ ẞ ς", "Ⓐ ㍿", "a\u0345\u0301", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := fold(s)
		if twice := fold(once); twice != once {
			t.Errorf("fold(%q) = %q, and again %q", s, once, twice)
		}
		if !utf8.ValidString(once) {
			t.Errorf("fold(%q) = %q is not UTF-8", s, once)
		}
		if c := clean(s); clean(c) != c || fold(c) != once {
			t.Errorf("clean(%q) = %q, and again %q; folded %q and %q", s, c, clean(c), once, fold(c))
		}
		if spaced := fold(" " + strings.ReplaceAll(s, " ", "  ") + "\u200f\t"); spaced != once {
			t.Errorf("fold(%q) = %q, and with more spaces %q", s, once, spaced)
		}
		if core, form := cutForm(clean(s)); clean(s) != "" && core == "" || !strings.Contains(clean(s), core) {
			t.Errorf("cutForm(%q) = %q, %q", clean(s), core, form)
		}
		if !Holding(s)(s) || !Holding("")(s) {
			t.Errorf("%q does not hold itself or nothing", s)
		}
	})
}
