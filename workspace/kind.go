package workspace

import "strings"

// Kind is a kind of thing, in words.
type Kind string

// The kinds that [Workspace.Resolve] knows.
const (
	Client      Kind = "client"  // a contact or a company
	Contact     Kind = "contact" // a person
	Company     Kind = "company"
	Pipeline    Kind = "pipeline"
	Stage       Kind = "stage"
	User        Kind = "user"
	Source      Kind = "source"
	Tag         Kind = "tag"
	Product     Kind = "product"
	Lead        Kind = "lead"
	Deal        Kind = "deal"
	CustomField Kind = "custom field" // of deals or other entities, see [Scope]; its ID is its key
	FieldOption Kind = "option"       // of a custom field; its ID is its value
)

// prefixes of IDs. Contacts and companies share one. Nothing is known of what follows the prefix.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/id-prefixes
var prefixes = []struct {
	prefix string
	kind   Kind
}{
	{"clt_", Client},
	{"dpl_", Pipeline},
	{"dps_", Stage},
	{"usr_", User},
	{"src_", Source},
	{"tag_", Tag},
	{"prd_", Product},
	{"ld_", Lead},
	{"dl_", Deal},
	{"deal_", Deal}, // not in that table, but https://docs.heffl.com/api-v2/custom-fields shows one
	{"txr_", "tax rate"},
	{"cs_", "client stage"},
	{"lstg_", "lead stage"},
	{"lst_", "list"},
	{"qtn_", "quotation"},
	{"tpl_", "document template"},
	{"tsk_", "task"},
}

// KindOfID is the kind of thing that a text of the form of an ID is of ("dl_x1": "deal"), and
// Client for contacts and companies alike; empty for a text of another form.
func KindOfID(id string) Kind {
	for _, p := range prefixes {
		rest, ok := strings.CutPrefix(id, p.prefix)
		if ok && rest != "" && !strings.ContainsFunc(rest, notInID) {
			return p.kind
		}
	}
	return ""
}

// IsID reports whether a text has the form of an ID of this kind. [Workspace.Resolve] takes it at its word, but for a stage
// that is known to be of another pipeline.
func (k Kind) IsID(text string) bool {
	return len(text) <= maxWords && k.hasIDs() && k.takes(KindOfID(text))
}

func notInID(r rune) bool {
	return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// hasIDs reports whether things of this kind are known by IDs with a prefix.
func (k Kind) hasIDs() bool { return k != CustomField && k != FieldOption }

// isLive reports whether things of this kind are searched for in Heffl, being too many and too new
// to be kept.
func (k Kind) isLive() bool {
	return k == Client || k == Contact || k == Company || k == Lead || k == Deal
}

func (k Kind) takes(of Kind) bool { return of == k || of == Client && (k == Contact || k == Company) }
