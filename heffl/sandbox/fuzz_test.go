package sandbox_test

import (
	"encoding/json"
	"testing"
)

// FuzzCreateDeal holds any body to this: it is answered 200 and made a deal, or it is answered 400, 404 or 413 and made none.
func FuzzCreateDeal(f *testing.F) {
	for _, body := range []string{
		deal(""), deal(`"stageId": null`), `{}`, `null`, `[`, "\xff", `{"title": 1}`,
		deal(`"price": 1e2, "cf_seats": 9007199254740993, "cf_modules": ["CRM"], "cf_renewal_date": "2027-01-01"`),
		deal(`"products": [{"name": "Seat", "quantity": 50, "price": 500, "tax": 5, "productId": "prd_seat"}]`),
		deal(`"products": [null], "tags": [[]], "contacts": {}, "isInclusiveTax": 0`),
		deal(`"expectedCloseDate": "0000-01-01T00:00:00+23:59", "currency": "EUR", "contacts": ["clt_maryam"]`),
		deal(`"title": "again", "title": "\ud800"`),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, a := start(t, unlimited)
		before := len(s.Deals())
		got := a.with("Content-Type", "application/json").do("POST", "/deals", string(body))
		made := len(s.Deals()) - before
		switch got.status {
		case 200:
			if made != 1 {
				t.Errorf("POST /deals %q = 200, with %d deals made", body, made)
			}
			id, _ := decode(t, got.body)["id"].(string)
			a.ok("GET", "/deals/"+id, "")
		case 400, 404, 413:
			if made != 0 || errorCode(t, got) == "" {
				t.Errorf("POST /deals %q = %d %s, with %d deals made", body, got.status, got.body, made)
			}
		default:
			t.Errorf("POST /deals %q = %d %s", body, got.status, got.body)
		}
		if !json.Valid([]byte(got.body)) {
			t.Errorf("POST /deals %q answers %q, which is not JSON", body, got.body)
		}
	})
}
