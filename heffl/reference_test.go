package heffl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// envelopes are the forms in which a list of two rows may come, and the cursor that each gives.
var envelopes = []struct{ form, next string }{
	{`[%s,%s]`, ""},
	{`{"data":[%s,%s]}`, ""},
	{`{"data":[%s,%s],"meta":{}}`, ""},
	{`{"data":[%s,%s],"meta":{"nextCursor":null,"hasMore":false}}`, ""},
	{`{"data":[%s,%s],"meta":{"nextCursor":"c","hasMore":true}}`, "c"},
	{`{"data":[%s,%s],"meta":{"nextCursor":"c","hasMore":false}}`, ""},
	{`{"data":[%s,%s],"meta":{"nextCursor":"c"}}`, "c"},
	{`{"items":[%s,%s]}`, ""},
	{`{"items":[%s,%s],"nextCursor":"c","hasMore":true}`, "c"},
	{`{"items":[%s,%s],"meta":{"count":2,"total":2,"pageNo":1,"pageSize":20}}`, ""},
}

func TestListsReadEveryEnvelope(t *testing.T) {
	t.Parallel()
	for _, e := range envelopes {
		body := fmt.Sprintf(e.form, `{"id":"src_1","name":"Referral"}`, `{"id":"src_2","label":"Website","color":"red"}`)
		l, err := serve(t, answer(200, "application/json", body)).ListSources(t.Context(), ListQuery{})
		if err != nil {
			t.Errorf("ListSources(%s) = %v", body, err)
			continue
		}
		want := &List[Source]{Next: e.next, Items: []Source{
			{ID: "src_1", Name: "Referral", Raw: json.RawMessage(`{"id":"src_1","name":"Referral"}`)},
			{ID: "src_2", Name: "Website", Raw: json.RawMessage(`{"id":"src_2","label":"Website","color":"red"}`)},
		}}
		if diff := cmp.Diff(want, l, cmpopts.IgnoreFields(List[Source]{}, "Clock")); diff != "" {
			t.Errorf("ListSources(%s): -want +got\n%s", body, diff)
		}
	}
}

// rows are read with whatever names their members may have.
func TestListsReadEveryMember(t *testing.T) {
	t.Parallel()
	type rows map[string]any // the row as JSON, and what it is read as; nil: the list is unusable
	users := func(c *Client, ctx context.Context) (any, error) { return first(c.ListUsers(ctx, ListQuery{})) }
	tests := map[string]struct {
		list func(*Client, context.Context) (any, error)
		rows rows
	}{
		"users": {users, rows{
			`{"id":"usr_1","name":"Sara Haddad","email":"sara@x.example"}`:                  User{ID: "usr_1", Name: "Sara Haddad", Email: "sara@x.example", Active: true},
			`{"id":"usr_1","firstName":"Sara","lastName":"Haddad","title":"Head of sales"}`: User{ID: "usr_1", Name: "Sara Haddad", FirstName: "Sara", Active: true},
			`{"id":"usr_1","firstName":"Sara","lastName":null,"isActive":true}`:             User{ID: "usr_1", Name: "Sara", FirstName: "Sara", Active: true},
			`{"id":"usr_1","label":"Sara","isActive":false}`:                                User{ID: "usr_1", Name: "Sara"},
			`{"id":"usr_1","title":"Sara","active":false}`:                                  User{ID: "usr_1", Name: "Sara"},
			`{"id":"usr_1","fullName":"Sara","archived":true}`:                              User{ID: "usr_1", Name: "Sara"},
			`{"id":"usr_1","displayName":"Sara","status":"inactive"}`:                       User{ID: "usr_1", Name: "Sara"},
			`{"id":"usr_1","name":"","label":"Sara","isActive":null,"status":"ACTIVE"}`:     User{ID: "usr_1", Name: "Sara", Active: true},
			`{"id":"usr_1","name":7,"email":{"work":"s@x.example"}}`:                        User{ID: "usr_1", Active: true},
			`{"name":"Sara"}`:         nil,
			`{"id":7,"name":"Sara"}`:  nil,
			`{"id":"","name":"Sara"}`: nil,
			`"Sara"`:                  nil,
			`null`:                    nil,
		}},
		"tags": {func(c *Client, ctx context.Context) (any, error) { return first(c.ListTags(ctx, ListQuery{})) }, rows{
			`{"id":"tag_1","name":"VIP","color":"#fff","type":"deals","icon":null}`: Tag{ID: "tag_1", Name: "VIP", Type: "deals"},
			`{"id":"tag_1","label":"VIP"}`:                                          Tag{ID: "tag_1", Name: "VIP"},
			`{"name":"VIP"}`:                                                        nil,
		}},
		"products": {func(c *Client, ctx context.Context) (any, error) { return first(c.ListProducts(ctx, ListQuery{})) }, rows{
			`{"id":"prd_1","name":"Seat","price":2400.50,"type":"PRODUCT","isActive":true,"sku":"S-1"}`: Product{ID: "prd_1", Name: "Seat", Price: "2400.50", Type: "PRODUCT", SKU: "S-1", Active: true},
			`{"id":"prd_1","title":"Seat","price":null,"sku":null,"isActive":false}`:                    Product{ID: "prd_1", Name: "Seat"},
			`{"id":"prd_1","name":"Seat","price":{"amount":1},"sku":17}`:                                Product{ID: "prd_1", Name: "Seat", SKU: "17", Active: true},
			`{}`: nil,
		}},
		"pipelines": {func(c *Client, ctx context.Context) (any, error) { return first(c.ListPipelines(ctx, ListQuery{})) }, rows{
			`{"id":"dpl_1","name":"Sales","stages":[{"id":"dps_2","name":"Won","position":2,"probability":100,"type":"WON"},{"id":"dps_1","label":"New","position":1}]}`: Pipeline{ID: "dpl_1", Name: "Sales", Active: true, Stages: []Stage{
				{ID: "dps_1", Name: "New", Position: 1}, {ID: "dps_2", Name: "Won", Type: "WON", Position: 2, Probability: 100}}},
			`{"id":"dpl_1","label":"Sales","stages":[{"id":"dps_2","title":"B","position":"x"},{"id":"dps_1","name":"A"}],"isActive":false}`: Pipeline{ID: "dpl_1", Name: "Sales", Stages: []Stage{
				{ID: "dps_2", Name: "B"}, {ID: "dps_1", Name: "A"}}},
			`{"id":"dpl_1","name":"Sales","stages":[]}`:             Pipeline{ID: "dpl_1", Name: "Sales", Active: true, Stages: []Stage{}},
			`{"id":"dpl_1","name":"Sales"}`:                         Pipeline{ID: "dpl_1", Name: "Sales", Active: true},
			`{"id":"dpl_1","name":"Sales","stages":null}`:           Pipeline{ID: "dpl_1", Name: "Sales", Active: true},
			`{"id":"dpl_1","name":"Sales","stages":[{"name":"A"}]}`: nil,
			`{"name":"Sales","stages":[]}`:                          nil,
		}},
		"custom fields": {func(c *Client, ctx context.Context) (any, error) {
			return first(c.ListCustomFields(ctx, "deals", "", ListQuery{}))
		}, rows{
			`{"key":"cf_r","label":"Region","type":"SINGLE_OPTION","options":["North","South"]}`:                 region("North", "North", `"North"`, "South", "South", `"South"`),
			`{"key":"cf_r","name":"Region","type":"SINGLE_OPTION","allowedValues":[{"value":"n","label":"N."}]}`: region("n", "N.", `"n"`),
			`{"key":"cf_r","title":"Region","type":"SINGLE_OPTION","values":[{"id":"opt_1","name":"North"}]}`:    region("North", "North", `"North"`),
			`{"key":"r","label":"Region","type":"SINGLE_OPTION","choices":[{"id":"opt_1"},{"value":3,"label":"Three"},4,null,[],""]}`: region(
				"opt_1", "opt_1", `"opt_1"`, "3", "Three", `3`, "4", "4", `4`),
			`{"key":"cf_r","label":"Region","type":"SINGLE_OPTION","options":[],"values":["North"]}`: region("North", "North", `"North"`),
			`{"key":"cf_r","label":"Region","type":"SINGLE_OPTION","options":{"a":1}}`:               region(),
			`{"key":"cf_r","type":"TEXT"}`:                             CustomField{Key: "cf_r", Label: "cf_r", Type: "TEXT"},
			`{"key":"cf_r","label":"R","type":7,"pipelineId":"dpl_1"}`: CustomField{Key: "cf_r", Label: "R", PipelineID: "dpl_1"},
			`{"key":"cf_r","label":"R","pipeline":{"id":"dpl_1"}}`:     CustomField{Key: "cf_r", Label: "R", PipelineID: "dpl_1"},
			`{"label":"Region"}`:                                       nil,
		}},
		"contacts": {func(c *Client, ctx context.Context) (any, error) { return first(c.ListContacts(ctx, ListQuery{})) }, rows{
			`{"id":"clt_1","number":"CON001","firstName":"Anna","lastName":"Keller","email":"a@x.example","phone":"+44 1","companyId":"clt_2","companyName":"X"}`: Account{
				ID: "clt_1", Type: "contact", Number: "CON001", Name: "Anna Keller", FirstName: "Anna", Email: "a@x.example", Phones: []string{"+44 1"}, CompanyID: "clt_2", CompanyName: "X"},
			`{"id":"clt_1","name":"Anna","type":"company","parentClientId":"clt_2","company":{"name":"X"}}`: Account{ID: "clt_1", Type: "company", Name: "Anna", CompanyID: "clt_2", CompanyName: "X"},
			`{"id":"clt_1","name":"Anna","type":"PERSON","phone":4471,"company":"X"}`:                       Account{ID: "clt_1", Type: "contact", Name: "Anna", Phones: []string{"4471"}, CompanyName: "X"},
			`{"firstName":"Anna"}`: nil,
		}},
		"companies": {func(c *Client, ctx context.Context) (any, error) { return first(c.ListCompanies(ctx, ListQuery{})) }, rows{
			`{"id":"clt_1","name":"X","number":12,"website":"https://x.example","email":null}`: Account{ID: "clt_1", Type: "company", Number: "12", Name: "X", Website: "https://x.example"},
		}},
		"leads": {func(c *Client, ctx context.Context) (any, error) { return first(c.ListLeads(ctx, ListQuery{})) }, rows{
			`{"id":"ld_1","name":"Helena","title":"At the booth","type":"contact","mobile":"+1","secondaryMobile":"+2"}`: Account{
				ID: "ld_1", Type: "lead", Name: "Helena", Title: "At the booth", Phones: []string{"+1", "+2"}},
			`{"id":"ld_1","firstName":"Helena","lastName":"Duarte","title":"At the booth"}`: Account{ID: "ld_1", Type: "lead", Name: "Helena Duarte", FirstName: "Helena", Title: "At the booth"},
			`{"id":"ld_1","title":"At the booth"}`:                                          Account{ID: "ld_1", Type: "lead", Name: "At the booth", Title: "At the booth"},
		}},
	}
	noRaw := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Raw" }, cmp.Ignore())
	for name, tt := range tests {
		for row, want := range tt.rows {
			got, err := tt.list(serve(t, answer(200, "application/json", `{"data":[`+row+`]}`)), t.Context())
			if want == nil {
				e, ok := errors.AsType[*BodyError](err)
				if !ok || !errors.Is(err, ErrNoID) || string(e.Body) != row {
					t.Errorf("%s: %s = %v, want a BodyError with ErrNoID and the row", name, row, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %s = %v", name, row, err)
				continue
			}
			if diff := cmp.Diff(want, got, noRaw, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s: -want +got\n%s", name, row, diff)
			}
		}
	}
}

// region is a field with options, each of a value, a label and the value's JSON.
func region(options ...string) CustomField {
	f := CustomField{Key: "cf_r", Label: "Region", Type: "SINGLE_OPTION"}
	for o := options; len(o) > 0; o = o[3:] {
		f.Options = append(f.Options, FieldOption{Value: o[0], Label: o[1], JSON: json.RawMessage(o[2])})
	}
	return f
}

// first is the only row of a list.
func first[T any](l *List[T], err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if len(l.Items) != 1 {
		return nil, fmt.Errorf("%d rows", len(l.Items))
	}
	return l.Items[0], nil
}

func TestListsAsk(t *testing.T) {
	t.Parallel()
	page := ListQuery{Search: "Zürcher & Söhne", PageSize: 100, Cursor: "a+b/c="}
	const query = "?cursor=a%2Bb%2Fc%3D&pageSize=100&search=Z%C3%BCrcher+%26+S%C3%B6hne"
	tests := map[string]func(*Client) error{
		"/pipelines":         func(c *Client) error { _, err := c.ListPipelines(t.Context(), ListQuery{}); return err },
		"/users":             func(c *Client) error { _, err := c.ListUsers(t.Context(), ListQuery{}); return err },
		"/sources":           func(c *Client) error { _, err := c.ListSources(t.Context(), ListQuery{}); return err },
		"/tags":              func(c *Client) error { _, err := c.ListTags(t.Context(), ListQuery{}); return err },
		"/products":          func(c *Client) error { _, err := c.ListProducts(t.Context(), ListQuery{}); return err },
		"/contacts" + query:  func(c *Client) error { _, err := c.ListContacts(t.Context(), page); return err },
		"/companies" + query: func(c *Client) error { _, err := c.ListCompanies(t.Context(), page); return err },
		"/leads" + query:     func(c *Client) error { _, err := c.ListLeads(t.Context(), page); return err },
		"/tasks" + query:     func(c *Client) error { _, err := c.ListTasks(t.Context(), page); return err },
		"/custom-fields?entity=deals": func(c *Client) error {
			_, err := c.ListCustomFields(t.Context(), "deals", "", ListQuery{})
			return err
		},
		"/custom-fields?cursor=c&entity=deals&pipelineId=dpl_1": func(c *Client) error {
			_, err := c.ListCustomFields(t.Context(), "deals", "dpl_1", ListQuery{Cursor: "c"})
			return err
		},
	}
	for want, list := range tests {
		var got string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Method + " " + r.URL.String()
			answer(200, "application/json", `{"data":[]}`)(w, r)
		})
		if err := list(c); err != nil || got != "GET "+want {
			t.Errorf("asked %q, %v; want GET %s", got, err, want)
		}
	}
}

func TestListsFail(t *testing.T) {
	t.Parallel()
	_, err := serve(t, answer(403, "application/json", `{"error":{"code":"FORBIDDEN"}}`)).ListTags(t.Context(), ListQuery{})
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 403 || e.Path != "/tags" {
		t.Errorf("ListTags on 403 = %v, want that *Error", err)
	}
	for _, body := range []string{`{}`, `{"data":{}}`, `{"data":null}`, `null`, `7`} {
		_, err := serve(t, answer(200, "application/json", body)).ListTags(t.Context(), ListQuery{})
		if !errors.Is(err, ErrNotList) {
			t.Errorf("ListTags(%s) = %v, want ErrNotList", body, err)
		}
	}
}

func TestGetPipeline(t *testing.T) {
	t.Parallel()
	const pipeline = `{"id":"dpl_1","name":"Sales","stages":[{"id":"dps_1","name":"New"}]}`
	for _, body := range []string{pipeline, `{"data":` + pipeline + `}`} {
		p, err := serve(t, answer(200, "application/json", body)).GetPipeline(t.Context(), "dpl_1")
		if err != nil || p.Name != "Sales" || len(p.Stages) != 1 || string(p.Raw) != pipeline {
			t.Errorf("GetPipeline(%s) = %+v, %v", body, p, err)
		}
	}
	_, err := serve(t, answer(200, "application/json", `{"name":"Sales"}`)).GetPipeline(t.Context(), "dpl_1")
	if !errors.Is(err, ErrNoID) || !strings.Contains(err.Error(), "/pipelines/dpl_1") {
		t.Errorf("GetPipeline without an ID = %v, want ErrNoID and the path", err)
	}
	var asked string
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { asked = r.URL.EscapedPath() })
	_, _ = c.GetPipeline(t.Context(), "../x?y")
	if asked != "/pipelines/..%2Fx%3Fy" {
		t.Errorf("GetPipeline(../x?y) asked for %s", asked)
	}
}

// Every list says how far Heffl's clock is ahead, so that the stamps in it can be compared.
func TestListsTellTheClock(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]func(*Client, context.Context) (time.Duration, error){
		"pipelines": clock((*Client).ListPipelines),
		"users":     clock((*Client).ListUsers),
		"sources":   clock((*Client).ListSources),
		"tags":      clock((*Client).ListTags),
		"products":  clock((*Client).ListProducts),
		"contacts":  clock((*Client).ListContacts),
		"companies": clock((*Client).ListCompanies),
		"leads":     clock((*Client).ListLeads),
		"custom fields": clock(func(c *Client, ctx context.Context, q ListQuery) (*List[CustomField], error) {
			return c.ListCustomFields(ctx, "deals", "", q)
		}),
		"tasks": clock(func(c *Client, ctx context.Context, q ListQuery) (*List[json.RawMessage], error) {
			p, err := c.ListTasks(ctx, q)
			if err != nil {
				return nil, err
			}
			return &List[json.RawMessage]{Clock: p.Clock}, nil
		}),
	} {
		in(t, name, func(t *testing.T) {
			c := &Client{HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
				return &http.Response{StatusCode: 200, Header: http.Header{"Date": {date}}, Body: io.NopCloser(strings.NewReader(`[]`))}, nil
			})}}
			got, err := list(c, t.Context())
			if want := time.Hour + time.Second/2; err != nil || got != want { // a bubble's time begins with a whole second
				t.Errorf("the clock of the %s = %v, %v; want %v ahead", name, got, err, want)
			}
		})
	}
}

func clock[T any](list func(*Client, context.Context, ListQuery) (*List[T], error)) func(*Client, context.Context) (time.Duration, error) {
	return func(c *Client, ctx context.Context) (time.Duration, error) {
		l, err := list(c, ctx, ListQuery{})
		if err != nil {
			return 0, err
		}
		return l.Clock, nil
	}
}

// FuzzList holds that whatever a server answers, a list has an ID for each row or is an error.
func FuzzList(f *testing.F) {
	for _, e := range envelopes {
		f.Add(fmt.Sprintf(e.form, `{"id":"dpl_1","stages":[{"id":"dps_1"}]}`, `{"id":2}`))
	}
	f.Add(`{"data":[{"id":"x","key":"k","options":[{"value":{}},"a",null]}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		c := &Client{BaseURL: "http://localhost", HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body))}, nil
		})}}
		if l, err := c.ListPipelines(t.Context(), ListQuery{}); err == nil {
			for _, p := range l.Items {
				if p.ID == "" || p.Raw == nil {
					t.Errorf("ListPipelines(%s) has %+v", body, p)
				}
				for _, s := range p.Stages {
					if s.ID == "" {
						t.Errorf("ListPipelines(%s) has stage %+v", body, s)
					}
				}
			}
		}
		if l, err := c.ListCustomFields(t.Context(), "deals", "", ListQuery{}); err == nil {
			for _, field := range l.Items {
				for _, o := range field.Options {
					if !strings.HasPrefix(field.Key, "cf_") || o.Value == "" || !json.Valid(o.JSON) {
						t.Errorf("ListCustomFields(%s) has %+v", body, field)
					}
				}
			}
		}
	})
}
