package tools

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"heffl-mcp/journal"
	"heffl-mcp/schema"

	"github.com/mark3labs/mcp-go/mcp"
)

// BenchmarkCreateDeal shows what the journal costs a call: without one, in memory, in a file, and in
// PostgreSQL where HEFFL_MCP_TEST_POSTGRES names one; one call at a time and 16 at once. Heffl
// answers at once, over HTTP on this machine.
func BenchmarkCreateDeal(b *testing.B) {
	var made atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":"dl_%d","number":"D","title":"Rollout","contactEmails":[]}`, made.Add(1))
	}))
	b.Cleanup(srv.Close)
	stores := map[string]string{"off": "", "memory": ":memory:", "sqlite": filepath.Join(b.TempDir(), "journal.db")}
	if url := os.Getenv("HEFFL_MCP_TEST_POSTGRES"); url != "" {
		stores["postgres"] = url
	}
	var nth atomic.Int64
	for _, name := range []string{"off", "memory", "sqlite", "postgres"} {
		dsn, ok := stores[name]
		if !ok {
			continue
		}
		for _, inFlight := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, inFlight), func(b *testing.B) {
				d := Deps{Heffl: client(srv), Tenant: freshTenant(b), SkipDuplicateCheck: true}
				if dsn != "" {
					j, err := journal.New(dsn, journal.Options{})
					if err != nil {
						b.Fatal(err)
					}
					b.Cleanup(func() { j.Close() })
					d.Journal = j
				}
				c := connectTo(b, d)
				b.ReportAllocs()
				b.SetParallelism((inFlight + 1) / 2) // of two processors
				each := func() {
					var req mcp.CallToolRequest
					req.Params.Name = "create_deal"
					req.Params.Arguments = json.RawMessage(fmt.Sprintf(`{"title":"Rollout %d","clientId":"clt_1","pipelineId":"dpl_1"}`, nth.Add(1)))
					if r, err := c.CallTool(b.Context(), req); err != nil || r.IsError {
						b.Error(err, r)
					}
				}
				if inFlight == 1 {
					for b.Loop() {
						each()
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						each()
					}
				})
			})
		}
	}
}

// freshTenant is a tenant that no earlier run of the benchmark has used.
func freshTenant(b *testing.B) string { return hash(b.Name(), b.TempDir()) }

// BenchmarkCheckDeal validates a deal with 12 properties, 3 line items and 3 custom fields.
func BenchmarkCheckDeal(b *testing.B) {
	in, err := schema.For[DealArgs](schema.Input)
	if err != nil {
		b.Fatal(err)
	}
	raw := []byte(`{"title":"Northwind: CRM for the field teams","clientId":"clt_northwind","pipelineId":"dpl_enterprise","stageId":"dps_ent_evaluation","sourceId":"src_referral","ownerUserId":"usr_sara","price":23600.50,"expectedCloseDate":"2026-12-18T00:00:00.000Z","priority":"HIGH","status":"ACTIVE","currency":"GBP","tags":["tag_vip","tag_tender"],` +
		`"products":[{"productId":"prd_seat","name":"Seat","quantity":40,"price":500,"description":"One user, one year"},{"productId":"prd_onboarding","name":"Onboarding","quantity":1,"price":2400.50,"description":"Two days on site"},{"productId":"prd_support","name":"Premium support","quantity":1,"price":1200,"description":"First year"}],` +
		`"cf_region":"North","cf_po_number":"NW-2026-0418","cf_seats":40}`)
	b.ReportAllocs()
	for b.Loop() {
		if faults := in.Check(raw); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}
