package tools

import "strings"

// idKinds is the reference's table of ID prefixes, https://docs.heffl.com/api-v2/id-prefixes, as
// read on 2026-11-22. Contacts and companies share one. Nothing is known of what follows the prefix.
var idKinds = []idKind{
	{"clt_", "contact or company"},
	{"dpl_", "pipeline"},
	{"dps_", "pipeline stage"},
	{"dl_", "deal"},
	{"ld_", "lead"},
	{"usr_", "user"},
	{"tag_", "tag"},
	{"src_", "CRM source"},
	{"prd_", "product"},
	{"txr_", "tax rate"},
	{"cs_", "client stage"},
	{"lstg_", "lead stage"},
	{"lst_", "list"},
	{"qtn_", "quotation"},
	{"tpl_", "document template"},
	{"tsk_", "task"},
}

type idKind struct{ prefix, what string }

// idKindOf is what an ID is of, by its prefix; empty where it has none that is known.
func idKindOf(id string) idKind {
	for _, k := range idKinds {
		if strings.HasPrefix(id, k.prefix) {
			return k
		}
	}
	return idKind{}
}
