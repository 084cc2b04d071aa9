package schema

import "testing"

// BenchmarkGuard is the reading of a deal, before it is held to its schema.
func BenchmarkGuard(b *testing.B) {
	raw := []byte(`{"title":"Northwind rollout","clientId":"clt_1","pipelineId":"dpl_1","price":25000.50,"priority":"HIGH","expectedCloseDate":"2026-06-30T00:00:00Z","tags":["tag_1","tag_2"],"products":[{"name":"a","quantity":1,"price":2},{"name":"b","quantity":2,"price":3},{"name":"c","quantity":3,"price":4}],"cf_a":"x","cf_b":1,"cf_c":["y"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := decode(raw, Input); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}
