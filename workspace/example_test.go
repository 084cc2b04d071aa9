package workspace_test

import (
	"context"
	"errors"
	"fmt"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/workspace"
)

func Example() {
	s := sandbox.New(sandbox.Options{})
	defer s.Close()
	w := workspace.New(&heffl.Client{BaseURL: sandbox.BaseURL, Key: "k", HTTP: s.HTTPClient()}, workspace.Options{})
	ctx := context.Background()

	for _, words := range []string{"Zurcher Mobel", "Falcon Logistics", "muscat@falcon.example"} {
		m, err := w.Resolve(ctx, workspace.Client, words, workspace.Scope{})
		if e, ok := errors.AsType[*workspace.UnresolvedError](err); ok {
			fmt.Println(e)
			for _, c := range e.Candidates {
				fmt.Println("-", c.ID, c.Name, c.Facts)
			}
			continue
		}
		fmt.Println(m.ID, m.Name, "by", m.How)
	}
	// Output:
	// clt_zurcher Zürcher Möbel AG by folded name
	// 2 of kind client are named "Falcon Logistics"
	// - clt_falcon_muscat Falcon Logistics [company muscat@falcon.example +96824111111 COM006]
	// - clt_falcon_dubai Falcon Logistics [company dubai@falcon.example +97140000000 COM005]
	// clt_falcon_muscat Falcon Logistics by e-mail
}
