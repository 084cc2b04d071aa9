package workspace_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"heffl-mcp/workspace"
)

// What words name in the sandbox's workspace, and what that costs, the lists being cold.
func TestNamedClients(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		words, clientType, want string
		requests                int
	}{
		{"HELLO@northwind.example", "", "clt_northwind", 2},
		{"HELLO@northwind.example", "contact", "", 1},
		{"llo@northwind.example", "", "", 2}, // it is found, but is another
		{"nobody@northwind.example", "", "", 2},
		{"Anna Keller", "contact", "clt_anna_keller", 1},
		{"Keller, Anna", "contact", "clt_anna_keller", 2},
		{"Jose Nunez", "contact", "clt_jose_nunez", 2},
		{"Anna", "contact", "", 2}, // the search finds more than it names
		{"Anna Keller", "company", "", 2},
		{"Acme Inc.", "company", "clt_acme", 1},
		{"Falcon Logistics", "", "clt_falcon_muscat clt_falcon_dubai", 2},
		{"00442071230001", "contact", "clt_anna_keller", 1},
		{"+86 138 0000 0000", "contact", "clt_li_wei", 1},
		{"", "", "", 0},
		{strings.Repeat("x", 301), "", "", 0},
	} {
		w, s := openSandbox(t, nil)
		named, err := w.NamedClients(t.Context(), tt.words, tt.clientType)
		got := strings.Join(accountIDs(workspace.Found{Items: named}), " ")
		if n := len(s.Requests()); err != nil || got != tt.want || n != tt.requests {
			t.Errorf("NamedClients(%.40q, %q) = %s, %v after %d requests, want %s after %d", tt.words, tt.clientType, got, err, n, tt.want, tt.requests)
		}
	}
}

// A row that the words name is found among many that they are a part of.
func TestNamedClientsAmongMany(t *testing.T) {
	t.Parallel()
	var rows []string
	for i := range 250 {
		rows = append(rows, row("id", fmt.Sprintf("clt_%d", i), "name", fmt.Sprintf("Bank %d", i)))
	}
	f := &fake{lists: map[string][]string{"/companies": append(rows, row("id", "clt_bank", "name", "BANK"))}}
	w := f.open(t)
	named, err := w.NamedClients(t.Context(), "Bank", "company")
	if err != nil || len(named) != 1 || named[0].ID != "clt_bank" {
		t.Errorf("NamedClients(Bank) = %v, %v, want clt_bank", named, err)
	}
	f.fail("/companies", 403)
	if _, err := w.NamedClients(t.Context(), "Other", "company"); !isLookup(err) {
		t.Errorf("NamedClients(Other) of a list that cannot be read = %v, want a LookupError", err)
	}
	if _, err := w.NamedClients(t.Context(), "Other", "lead"); !isLookup(err) {
		t.Errorf("NamedClients(Other) of leads = %v, want a LookupError", err)
	}
}

func isLookup(err error) bool {
	_, ok := errors.AsType[*workspace.LookupError](err)
	return ok
}
