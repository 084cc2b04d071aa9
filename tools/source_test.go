package tools

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"heffl-mcp/journal"

	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

const theMail = `{"messageId":"<b1c9e2d4-0417@acme.example>","sender":"jose.nunez@acme.example","date":"Thu, 12 Nov 2026 15:48:09 -0500"}`

// callFor is a call for a message, by the JSON of its source.
func callFor(t testing.TB, c *mcpclient.Client, tool, args, source string) (told, *mcp.CallToolResult) {
	t.Helper()
	var req mcp.CallToolRequest
	req.Params.Name, req.Params.Arguments = tool, json.RawMessage(args)
	req.Params.Meta = &mcp.Meta{AdditionalFields: map[string]any{}}
	if source != "" {
		req.Params.Meta.AdditionalFields[MetaSource] = json.RawMessage(source)
	}
	r, err := c.CallTool(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	got := told{text: textOf(r), notes: notesOf(r)}
	got.outcome, _ = got.notes["heffl-mcp/outcome"].(string)
	got.id, _ = parse(r.RawStructuredContent).str("id")
	return got, r
}

func (s *stage) callFor(args, source string) told {
	s.tb.Helper()
	got, _ := callFor(s.tb, s.client, s.tool, args, source)
	return got
}

// reworded is the order as another agent words it.
const reworded = `{"title":"25 seats for Acme","clientId":"clt_acme","pipelineId":"dpl_sales","price":120,"priority":"HIGH"}`

// TestSource holds that of one message one deal is made, however its arguments are worded and whatever breaks, and
// that the second is told so.
func TestSource(t *testing.T) {
	t.Parallel()
	const otherMail = `{"messageId":"7f3a@dubois-conseil.example"}`
	differs := []string{"for the same message", "nothing was sent now", `title (made with "Order 1", now "25 seats for Acme")`, "price (made with 100, now 120)", `priority (made without, now "HIGH")`}
	in(t, "one after the other", func(t *testing.T) {
		s := newStage(t)
		first := s.callFor(order, theMail)
		s.is(first, created)
		second := s.callFor(reworded, `{"messageId":"b1c9e2d4-0417@ACME.example"}`)
		s.is(second, replayed, differs...)
		if second.id != first.id || second.notes["heffl-mcp/replayed"] != true {
			t.Errorf("the second is answered with %q, %v, want %q as a replay", second.id, second.notes, first.id)
		}
		if list, _ := second.notes["heffl-mcp/differences"].([]any); len(list) != 3 {
			t.Errorf("differences = %v, want 3", second.notes)
		}
		again1 := s.callFor(order, theMail)
		s.is(again1, replayed, "with the same arguments")
		s.is(s.callFor(reworded, otherMail), created)
		s.count(2, 2)
		s.is(s.callFor(again(strings.Replace(reworded, "25", "26", 1)), theMail), created)
		s.count(3, 3)
	})
	in(t, "said in a custom field", func(t *testing.T) {
		s := newStage(t)
		field := func(args, name, value string) string {
			return strings.TrimSuffix(args, "}") + `,"` + name + `":"` + value + `"}`
		}
		const note = `Message-ID: <b1c9e2d4-0417@acme.example>, From: jose.nunez@acme.example`
		first := s.call(field(order, "cf_background", note))
		s.is(first, created)
		second := s.call(field(reworded, "Background", `By e-mail (message-id: <b1c9e2d4-0417@ACME.example>)`))
		s.is(second, replayed, "for the same message")
		third := s.callFor(reworded, theMail)
		s.is(third, replayed, "for the same message")
		if second.id != first.id || third.id != first.id {
			t.Errorf("the message is answered with %s and %s, want %s", second.id, third.id, first.id)
		}
		s.is(s.callFor(field(reworded, "cf_background", note), otherMail), created) // _meta counts before a text
		s.is(s.call(field(strings.Replace(reworded, "25", "26", 1), "cf_background", `In-Reply-To: <b1c9e2d4-0417@acme.example>; ask Jose <jose.nunez@acme.example>`)), created)
		s.is(s.call(field(strings.Replace(reworded, "25", "27", 1), "cf_background", note+`, Message-ID: <other-one@acme.example>`)), created) // of two
		s.is(s.call(strings.Replace(reworded, "25 seats for Acme", "28 seats, Message-ID: <b1c9e2d4-0417@acme.example>", 1)), created)         // a title is not where it comes from
		s.count(5, 5)
	})
	in(t, "two deals of one message", func(t *testing.T) {
		s := newStage(t)
		first := s.callFor(order, theMail)
		s.is(s.callFor(again(reworded), theMail), created)
		named := strings.Replace(order, "clt_acme", "Acme", 1) // the same body, in other words
		got := s.callFor(named, theMail)
		s.is(got, replayed, "with the same arguments")
		_, r := callFor(t, s.client, "preview_deal", named, theMail)
		if made, _ := parse(r.RawStructuredContent).str("made"); got.id != first.id || made != first.id {
			t.Errorf("the first one's body again is answered with %s, and previewed with %s, want %s", got.id, made, first.id)
		}
		s.count(2, 2)
	})
	in(t, "the message is said later", func(t *testing.T) {
		s := newStage(t)
		first := s.call(order)
		s.is(first, created)
		s.is(s.callFor(order, theMail), replayed)
		if got := s.callFor(reworded, theMail); got.outcome != replayed || got.id != first.id {
			t.Errorf("in other words = %+v, want the deal %s", got, first.id)
		}
		s.count(1, 1)
	})
	in(t, "after the window", func(t *testing.T) {
		s := newStage(t)
		s.callFor(order, theMail)
		time.Sleep(25 * time.Hour)
		s.is(s.callFor(reworded, theMail), created)
	})
	in(t, "two at once", func(t *testing.T) {
		s := newStage(t, "before:slow;wait=8s")
		var got [6]told
		var calls sync.WaitGroup
		for i := range got {
			calls.Go(func() {
				args := order
				if i%2 == 1 {
					args = reworded
				}
				got[i] = s.callFor(args, theMail)
			})
		}
		calls.Wait()
		s.count(1, 1)
		for _, g := range got {
			if g.id != got[0].id || g.id == "" {
				t.Errorf("one at once = %+v, want the deal of the others", g)
			}
		}
	})
	// A call got no answer, or no readable one, or died: the call of another agent for the message looks for what that has
	// sent, which is not what it would send itself.
	for fault, most := range map[string]int{ // sends
		"after:drop;hide=3s": 1, "after:500;hide=3s": 1, "after:truncate;hide=2s": 1, "before:slow;wait=19s": 1, "before:drop": 2, "before:500": 2,
	} {
		in(t, "after "+fault, func(t *testing.T) {
			s := newStage(t, fault)
			ended := make(chan told)
			go func() { ended <- s.callFor(order, theMail) }()
			time.Sleep(time.Second) // the first is at it; should it be through, so much the better
			got := s.callFor(reworded, theMail)
			for got.outcome == unsettled {
				got = s.callFor(reworded, theMail)
			}
			<-ended
			s.deps.Followers.Wait()
			if s.made() != 1 {
				t.Errorf("%d deals were made of one message, want 1: %s", s.made(), got.text)
			}
			if s.sent() > most {
				t.Errorf("%d sends, want at most %d", s.sent(), most)
			}
		})
	}
	// The first agent's process dies while its request is on its way; the second's has the same journal.
	for _, made := range []bool{true, false} {
		in(t, fmt.Sprint("its process died, made ", made), func(t *testing.T) {
			fault, outcome := "before:drop", created
			if made {
				fault, outcome = "after:drop;hide=30s", recovered
			}
			s := newStage(t, fault)
			first := s.callFor(order, theMail)
			s.is(first, unsettled)
			time.Sleep(time.Minute)
			s.client = connectTo(t, s.deps)
			got := s.callFor(reworded, theMail)
			s.is(got, outcome)
			s.count(map[bool]int{true: 1, false: 2}[made], 1)
			if made {
				s.is(got, outcome, "made for this message from other arguments", `title (made with "Order 1", now "25 seats for Acme")`)
			}
			third := s.callFor(order, theMail)
			if third.id != got.id {
				t.Errorf("the first agent again = %+v, want the deal %s", third, got.id)
			}
		})
	}
	in(t, "a preview", func(t *testing.T) {
		s := newStage(t)
		first := s.callFor(order, theMail)
		got, r := callFor(t, s.client, "preview_deal", reworded, theMail)
		if made, _ := parse(r.RawStructuredContent).str("made"); made != first.id || !strings.Contains(got.text, "now \"25 seats for Acme\"") {
			t.Errorf("preview_deal for a message that has its deal = %s", got.text)
		}
		s.count(1, 1)
	})
	in(t, "of other things a message makes several", func(t *testing.T) {
		s := newStageOf(t, "create_client", "/contacts", Deps{Journal: memory(t)})
		s.is(s.callFor(`{"type":"contact","firstName":"Chloé","email":"chloe@new.example"}`, theMail), created)
		s.is(s.callFor(`{"type":"contact","firstName":"Paul","email":"paul@new.example"}`, theMail), created)
	})
}

// TestSourceIsKept holds that the journal shows the message.
func TestSourceIsKept(t *testing.T) {
	t.Parallel()
	in(t, "kept", func(t *testing.T) {
		s := newStage(t)
		s.callFor(order, theMail)
		all, err := s.deps.Journal.List(t.Context(), journal.Filter{Tenant: "t"})
		if err != nil || len(all) != 1 {
			t.Fatalf("List = %v, %v", all, err)
		}
		const want = `"source":{"messageId":"b1c9e2d4-0417@acme.example","sender":"jose.nunez@acme.example","date":"2026-11-12T15:48:09-05:00"}`
		if got := string(all[0].About); !strings.Contains(got, want) {
			t.Errorf("the journal has %s, want %s in it", got, want)
		}
	})
}

// TestSourceRefused holds that a source of another form stops the call before anything is sent, with all faults.
func TestSourceRefused(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := connectTo(t, Deps{Heffl: inProcess(sb), Journal: memory(t), Tenant: "t"})
	for source, says := range map[string]string{
		`"b1c9@acme.example"`:                              "want an object",
		`[]`:                                               "want an object",
		`{"messageId":"1"}`:                                "source.messageId: want the message's own ID",
		`{"messageId":"<b1c9@acme.example"}`:               "source.messageId",
		`{"messageId":"b1 c9@acme.example"}`:               "source.messageId",
		`{"messageId":"a\u0000bcdefghijk"}`:                "source.messageId: want a string of one line",
		`{"messageId":12345678}`:                           "source.messageId: want a string",
		`{"messageID":"b1c9@acme.example"}`:                "source.messageID: unknown; there are messageId, sender and date",
		`{"date":"tomorrow"}`:                              "source.date: want a date-time",
		`{"sender":""}`:                                    "source.sender: want a string of one line",
		`{"sender":"` + strings.Repeat("a", 321) + `"}`:    "longer than 320",
		`{"messageId":"` + strings.Repeat("a", 999) + `"}`: "8 to 998 characters",
	} {
		got, _ := callFor(t, c, "create_deal", `{`+minimal+`}`, source)
		if got.outcome != invalid || !strings.Contains(got.text, says) {
			t.Errorf("create_deal for %s = %s, want it to say %q", source, got.text, says)
		}
	}
	got, _ := callFor(t, c, "create_deal", `{"price":"much"}`, `{"date":"tomorrow","messageId":"1"}`)
	for _, says := range []string{"title", "price", "source.date", "source.messageId"} {
		if !strings.Contains(got.text, says) {
			t.Errorf("with faults in arguments and source: %s; want it to name %s", got.text, says)
		}
	}
	if sent := writes(sb.Requests()); len(sent) > 0 {
		t.Errorf("Heffl received %d writes, want none", len(sent))
	}
	if got, _ := callFor(t, c, "create_deal", `{`+minimal+`}`, "null"); got.outcome != created {
		t.Errorf("create_deal without a source = %s", got.text)
	}
}
