package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"heffl-mcp/heffl/sandbox"
)

// deal is what is asked for: twelve fields, three line items and three custom fields, all with IDs. The title makes
// each another.
func deal(n int64) []byte {
	return fmt.Appendf(nil, `{"title":"Northwind: CRM for the field teams, part %d","clientId":"clt_northwind","pipelineId":"dpl_enterprise","stageId":"dps_ent_evaluation","sourceId":"src_referral","ownerUserId":"usr_sara","price":23600.50,"expectedCloseDate":"2026-12-18T00:00:00.000Z","priority":"HIGH","status":"ACTIVE","currency":"GBP","tags":["tag_vip","tag_tender"],`+
		`"products":[{"productId":"prd_seat","name":"Seat","quantity":40,"price":500,"description":"One user, one year; field teams in Leeds and York"},{"productId":"prd_onboarding","name":"Onboarding","quantity":1,"price":2400.50,"description":"Two days on site"},{"productId":"prd_support","name":"Premium support","quantity":1,"price":1200,"description":"First year"}],`+
		`"cf_region":"North","cf_po_number":"NW-2026-0418","cf_seats":40}`, n)
}

// titles makes every deal of a run another one.
var titles atomic.Int64

func nextDeal() []byte { return deal(titles.Add(1)) }

// An upstream stands in for Heffl: it makes deals at once, always the same but for the ID, and leaves all else to a sandbox.
type upstream struct {
	http.Server
	url     string
	sandbox *sandbox.Sandbox
	delay   time.Duration // before each answer about deals
	made    atomic.Int64
	before  []byte // the answer around the ID
	after   []byte
}

// newUpstream serves on a free port of this machine until it is closed.
func newUpstream(ctx context.Context, delay time.Duration) (*upstream, error) {
	u := &upstream{sandbox: sandbox.New(sandbox.Options{RateLimit: -1}), delay: delay}
	answer, err := u.ask(ctx, nextDeal())
	if err != nil {
		return nil, errors.Join(err, u.sandbox.Close())
	}
	const id = `"id":"`
	from := bytes.Index(answer, []byte(id)) + len(id)
	to := from + bytes.IndexByte(answer[from:], '"')
	u.before, u.after = answer[:from], answer[to:]
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, u.sandbox.Close())
	}
	u.url = "http://" + ln.Addr().String() + "/api/v2"
	u.Handler, u.ReadHeaderTimeout = u, 10*time.Second
	go func() { _ = u.Serve(ln) }() // until Close
	return u, nil
}

// ask has the sandbox make a deal, as Heffl would answer it.
func (u *upstream) ask(ctx context.Context, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, sandbox.BaseURL+"/deals", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Api-Key", "key")
	req.Header.Set("Content-Type", "application/json")
	resp, err := u.sandbox.HTTPClient().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("the sandbox takes no such deal: %s", answer)
	}
	return answer, err
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v2/deals" || r.Method != http.MethodPost {
		u.sandbox.ServeHTTP(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body) // whether it came whole, its sender knows
	if u.delay > 0 {
		select {
		case <-time.After(u.delay):
		case <-r.Context().Done():
			return
		}
	}
	answer := make([]byte, 0, len(u.before)+len(u.after)+24)
	answer = append(strconv.AppendInt(append(append(answer, u.before...), "dl_"...), u.made.Add(1), 10), u.after...)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer)
}

func (u *upstream) close() error { return errors.Join(u.Server.Close(), u.sandbox.Close()) }
