package journal_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"heffl-mcp/journal"
)

// The same intent twice: the first is sent, the second is answered from the journal.
func Example() {
	j, err := journal.New(":memory:", journal.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()

	ctx := context.Background()
	send := func() []byte {
		fmt.Println("sending")
		return []byte(`{"id":"dl_1"}`)
	}
	for range 2 {
		c, err := j.Claim(ctx, journal.Intent{Tenant: "t", Action: "create_deal", Fingerprint: "of the body", Lease: 30 * time.Second})
		if err != nil {
			log.Fatal(err) // no record, so nothing may be sent
		}
		if c.Verdict == journal.Fresh {
			if err := c.Done(ctx, "dl_1", send(), "sent", true); err != nil {
				log.Fatal(err)
			}
		}
		fmt.Printf("%s: %s\n", c.Verdict, c.Record.Outcome)
	}
	// Output:
	// sending
	// fresh: {"id":"dl_1"}
	// done: {"id":"dl_1"}
}

// A claimant lets go without knowing what became of its request. The next one looks before it sends.
func Example_unclear() {
	j, err := journal.New(":memory:", journal.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()

	ctx := context.Background()
	in := journal.Intent{Tenant: "t", Action: "create_deal", Fingerprint: "of the body", Match: "of the title", Lease: 30 * time.Second}
	first, err := j.Claim(ctx, in)
	if err != nil {
		log.Fatal(err)
	}
	if err := first.Ended(ctx, time.Now(), journal.Unanswered); err != nil { // no answer came
		log.Fatal(err)
	}
	if err := first.Release(ctx); err != nil { // and there is no time to look
		log.Fatal(err)
	}

	c, err := j.Claim(ctx, in)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Verdict, "after", c.Record.Attempts, "attempt,", c.Record.Ending)
	found := "dl_1" // by looking
	if err := c.Done(ctx, found, []byte(`{"id":"dl_1"}`), "recovered", true); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Record.State, c.Record.How)
	// Output:
	// unclear after 1 attempt, unanswered
	// done recovered
}
