package workspace

import (
	"strings"
	"sync"

	"heffl-mcp/heffl"
)

// record is a thing of the workspace, with what it can be known by.
type record struct {
	id       string
	name     string    // as it is shown
	names    []reading // name, and others that are as good
	stems    []reading // names that are not quite its own: a key without its cf_
	first    []string  // first name, folded; only for users
	codes    []code
	email    string   // case folded
	domains  []string // of the website and the e-mail, but for mail providers'; not for users
	phones   []phone
	at       reading  // the firm that a contact is at, or the client of a deal
	firm     bool     // may have a legal form, and a domain of its own
	option   bool     // of a custom field: names are its value and its label, as readOption reads them
	facts    []string // for Candidate
	misfit   Why      // why it cannot be used; empty: it can
	where    string   // for Elsewhere
	pipeline string   // ID of the pipeline that a stage is of
	options  []record // of a custom field
	stages   []record // of a pipeline
}

// code is a short text by which a thing is known, such as its number.
type code struct {
	text string // case folded
	how  string
}

// mailProviders lend their domains to everybody, so such a domain names nobody.
var mailProviders = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for _, domain := range strings.Fields(`gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com ymail.com
		icloud.com me.com mac.com aol.com proton.me protonmail.com gmx.com gmx.de gmx.net gmx.at web.de t-online.de mail.com
		mail.ru yandex.com yandex.ru zoho.com qq.com 163.com 126.com naver.com orange.fr wanadoo.fr free.fr laposte.net libero.it`) {
		m[domain] = true
	}
	return m
})

// newRecord makes a record with a name and what else it is called.
func newRecord(id, name string, firm bool, others ...string) record {
	r := record{id: id, name: name, firm: firm}
	for _, n := range append([]string{name}, others...) {
		if n != "" {
			r.names = append(r.names, read(n, firm))
		}
	}
	return r
}

func recordsOf[T any](one func(*T) record) func([]T) []record {
	return func(items []T) []record {
		records := make([]record, len(items))
		for i := range items {
			records[i] = one(&items[i])
		}
		return records
	}
}

// fact adds what tells a thing from others of its name; words that are empty say nothing.
func (r *record) fact(label, text string) {
	if text != "" {
		r.facts = append(r.facts, strings.TrimSpace(label+" "+text))
	}
}

func (r *record) code(text, how string) {
	if text != "" {
		r.codes = append(r.codes, code{read(text, false).cased, how})
	}
}

// inactive keeps a thing from being used. It is not used even if nothing else has the name: a deal
// would go to somebody who has left.
func (r *record) inactive() {
	r.misfit = Inactive
	r.fact("", "inactive")
}

// pipelineRecord is that of a pipeline with its stages.
func pipelineRecord(p *heffl.Pipeline) record {
	r := newRecord(p.ID, p.Name, false)
	if !p.Active {
		r.inactive()
	}
	for _, s := range p.Stages {
		stage := newRecord(s.ID, s.Name, false)
		stage.pipeline = p.ID
		stage.fact("pipeline", p.Name)
		stage.fact("type", s.Type)
		r.stages = append(r.stages, stage)
	}
	return r
}

// stagesOf are the stages of all pipelines. Outside the given pipeline, which may be empty for
// any, they do not fit.
func stagesOf(pipelines []record, within string) []record {
	var records []record
	for i := range pipelines {
		p := &pipelines[i]
		for _, r := range p.stages {
			if within != "" && p.id != within {
				r.misfit, r.where = OtherPipeline, p.name
			}
			records = append(records, r)
		}
	}
	return records
}

func userRecord(u *heffl.User) record {
	r := newRecord(u.ID, u.Name, false)
	r.email = foldCase(clean(u.Email))
	r.fact("", u.Email)
	first := u.FirstName
	if words := strings.Fields(u.Name); first == "" && len(words) > 1 {
		first = words[0]
	}
	r.first = read(first, false).folded
	if !u.Active {
		r.inactive()
	}
	return r
}

func sourceRecord(s *heffl.Source) record { return newRecord(s.ID, s.Name, false) }

// tagRecord: a tag is for one type of things, and those asked for here are of deals.
func tagRecord(t *heffl.Tag) record {
	r := newRecord(t.ID, t.Name, false)
	if t.Type != "" && t.Type != "deals" {
		r.misfit, r.where = OtherType, t.Type
		r.fact("for", t.Type)
	}
	return r
}

func productRecord(p *heffl.Product) record {
	r := newRecord(p.ID, p.Name, false)
	r.code(p.SKU, howSKU)
	r.fact("SKU", p.SKU)
	r.fact("price", p.Price.String())
	if !p.Active {
		r.inactive()
	}
	return r
}

func accountRecord(a *heffl.Account) record {
	r := newRecord(a.ID, a.Name, a.Type != "contact")
	if a.Type == "lead" {
		r = newRecord(a.ID, a.Name, true, a.Title)
	}
	r.code(a.Number, howNumber)
	r.email = foldCase(clean(a.Email))
	for _, domain := range []string{domainIn(clean(a.Website)), domainOf(r.email)} {
		if domain != "" && !mailProviders()[domain] {
			r.domains = append(r.domains, domain)
		}
	}
	r.fact("", a.Type)
	r.fact("at", a.CompanyName)
	r.at = read(a.CompanyName, true)
	r.fact("", a.Email)
	for _, number := range a.Phones {
		r.fact("", number)
		if p := phoneIn(clean(number)); p.digits != "" {
			r.phones = append(r.phones, p)
		}
	}
	if a.Type == "lead" && a.Title != a.Name {
		r.fact("", a.Title)
	}
	r.fact("", a.Website)
	r.fact("", a.Number)
	return r
}

func fieldRecord(f *Field) record {
	r := newRecord(f.Key, f.Label, false)
	r.code(f.Key, howKey)
	r.stems = []reading{read(strings.TrimPrefix(f.Key, "cf_"), false)}
	r.fact("", f.Type)
	return r
}

// choiceRecord is that of a custom field with its options.
func choiceRecord(f *Field) record {
	r := fieldRecord(f)
	r.options = recordsOf(optionRecord)(f.Options)
	return r
}

func optionRecord(o *Option) record {
	return record{id: o.Value, name: o.Label, option: true, names: []reading{readOption(o.Value), readOption(o.Label)}}
}
