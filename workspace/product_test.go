package workspace_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/workspace"
)

// The price of a product is at most a minute old, and what is new is found.
func TestProduct(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seat := func(price int, active bool) string {
			return row("id", "prd_1", "name", "Seat", "price", price, "isActive", active)
		}
		f := &fake{lists: map[string][]string{"/products": {seat(10, true)}}}
		w := f.inside(workspace.Options{})
		step := func(what, id, want string, requests int) {
			t.Helper()
			p, ok, err := w.Product(t.Context(), id)
			if got := fmt.Sprint(p.Name, " ", p.Price, " ", p.Active, " ", ok, " ", err); got != want {
				t.Errorf("%s: Product(%s) = %s, want %s", what, id, got, want)
			}
			if got := f.requests(); len(got) != requests {
				t.Errorf("%s: asked %q, want %d requests", what, got, requests)
			}
		}
		const none = "  false false <nil>"
		step("first", "prd_1", "Seat 10 true true <nil>", 1)
		f.set("/products", seat(12, false), row("id", "prd_2", "name", "New", "price", 1))
		time.Sleep(59 * time.Second)
		step("kept", "prd_1", "Seat 10 true true <nil>", 0)
		step("new", "prd_2", "New 1 true true <nil>", 1)
		step("read by that", "prd_1", "Seat 12 false true <nil>", 0)
		step("not there", "prd_3", none, 0)
		time.Sleep(6 * time.Second)
		step("not there, and read again", "prd_3", none, 1)
		f.set("/products", seat(15, true))
		time.Sleep(time.Minute)
		step("too old", "prd_1", "Seat 15 true true <nil>", 1)
		f.fail("/products", http.StatusForbidden)
		step("still kept", "prd_1", "Seat 15 true true <nil>", 0)
		time.Sleep(time.Minute)
		_, ok, err := w.Product(t.Context(), "prd_1")
		if e, failed := errors.AsType[*workspace.LookupError](err); ok || !failed || e.Kind != workspace.Product {
			t.Errorf("Product of a list that cannot be read = %t, %v; want a LookupError", ok, err)
		}
	})
}

// What a catalogue lacks that was not read to its end, it may have.
func TestProductOfALongCatalogue(t *testing.T) {
	t.Parallel()
	f := &fake{pageSize: 30, lists: map[string][]string{}}
	for i := range 2500 {
		f.lists["/products"] = append(f.lists["/products"], row("id", fmt.Sprint("prd_", i), "name", fmt.Sprint("Product ", i)))
	}
	w := f.open(t)
	if p, ok, err := w.Product(t.Context(), "prd_3"); !ok || err != nil || p.Name != "Product 3" {
		t.Errorf("Product(prd_3) = %+v, %t, %v; want it", p, ok, err)
	}
	_, ok, err := w.Product(t.Context(), "prd_2499")
	if e, failed := errors.AsType[*workspace.LookupError](err); ok || !failed || e.Kind != workspace.Product || !errors.Is(err, workspace.ErrPartial) {
		t.Errorf("Product(prd_2499) = %t, %v; want a LookupError of ErrPartial", ok, err)
	}
}
