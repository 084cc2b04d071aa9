package journal

import (
	"context"
	"fmt"
	"time"
)

// What the tests reach inside for.

var DefaultPathOn = defaultPath

// Schema is the version that this program knows.
var Schema = schema

// SharedClock opens j and has it take the database's clock for its own, so that several Journals with one made-up clock
// agree to the millisecond.
func (j *Journal) SharedClock(ctx context.Context) error {
	s, err := j.open(ctx)
	if err == nil {
		s.offset = 0
	}
	return err
}

// Prune prunes now.
func (j *Journal) Prune(ctx context.Context) error {
	s, err := j.open(ctx)
	if err != nil {
		return err
	}
	return j.prune(ctx, s, j.now())
}

// Insert is the write that makes a claim fresh, for a claimant that has read the equal intent before this seq, among those of
// the fingerprint and of the origin.
func (j *Journal) Insert(ctx context.Context, in Intent, seq int64) (bool, error) {
	s, err := j.open(ctx)
	if err != nil {
		return false, err
	}
	now := j.now()
	r := row{Record: Record{
		ID: newID(now), Tenant: in.Tenant, Action: in.Action, Fingerprint: in.Fingerprint, Origin: in.Origin, Seq: seq, State: StateOpen,
		Created: now, SentAt: now, LeaseUntil: now.Add(in.Lease), Attempts: 1,
	}, version: newVersion()}
	if in.Origin != "" {
		r.originSeq = seq
	}
	return s.insert(ctx, r)
}

// Setting reads a setting of the connection that writes durably, and of the one that does not: a PRAGMA, or what SHOW shows.
func (j *Journal) Setting(ctx context.Context, query string) (onDurable, onRelaxed string, err error) {
	s, err := j.open(ctx)
	if err != nil {
		return "", "", err
	}
	if err := s.writes[durable].QueryRowContext(ctx, query).Scan(&onDurable); err != nil {
		return "", "", err
	}
	return onDurable, onRelaxed, s.writes[relaxed].QueryRowContext(ctx, query).Scan(&onRelaxed)
}

// Fill adds done records by the thousand, as Claim and Done would have made them.
func (j *Journal) Fill(ctx context.Context, n int) error {
	s, err := j.open(ctx)
	if err != nil {
		return err
	}
	tx, err := s.writes[relaxed].BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, err := tx.PrepareContext(ctx, insertRecord)
	if err != nil {
		return err
	}
	defer insert.Close()
	done, err := tx.PrepareContext(ctx, updateDone)
	if err != nil {
		return err
	}
	defer done.Close()
	outcome := make([]byte, 1000)
	for i := range n {
		at := j.now().Add(-time.Duration(n-i) * time.Second)
		name := fmt.Sprintf("old-%d", i)
		version := newVersion()
		id := newID(at)
		if _, err := insert.ExecContext(ctx, id, "tenant", "create_deal", name, name, name, 1, "open", `{"title":"old"}`,
			s.stamp(at), s.stamp(at), 0, s.stamp(at), 1, version, name, 1); err != nil {
			return err
		}
		if _, err := done.ExecContext(ctx, id, version, newVersion(), name, outcome, "sent", true, s.stamp(at)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Plan is the query plan of a statement, and Plans the statements that each call runs, with arguments to plan them for.
func (j *Journal) Plan(ctx context.Context, explain, text string, args []any) ([]string, error) {
	s, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.reads.QueryContext(ctx, explain+" "+text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var plan []string
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		plan = append(plan, fmt.Sprint(values[len(values)-1])) // the text comes last in both engines
	}
	return plan, rows.Err()
}

// Plans are the statements that every call depends on.
func Plans() map[string][]any {
	owned := []any{"tenant", "create_deal"}
	for i := range ownedBatch {
		owned = append(owned, fmt.Sprintf("old-%d", i))
	}
	return map[string][]any{
		selectID:       {"id"},
		selectLatest:   {"tenant", "create_deal", "old-7"},
		selectArgs:     {"tenant", "create_deal", "old-7", 0},
		selectSame:     {"tenant", "create_deal", "old-7", 0},
		selectRivals:   {"tenant", "create_deal", "old-7", "id"},
		selectStrays:   {"tenant", "create_deal", "old-7", "new"},
		selectOwned:    owned,
		insertRecord:   {"id", "tenant", "create_deal", "new", "", "", 1, "open", "", 1, 1, 0, 1, 1, 1, "new", 1},
		selectOrigin:   {"tenant", "create_deal", "old-7"},
		selectKept:     {"tenant", "create_deal", "old-7"},
		selectMadeOf:   {"tenant", "create_deal", "old-7", 0},
		updateOrigin:   {"id", "new", 0},
		updateTakeover: {"id", 1, 2, 3},
		updateSending:  {"id", 1, 2, 3, 4},
		updateDone:     {"id", 1, 2, "ref", []byte("{}"), "sent", true, 3},
		updateEnded:    {"id", 1, 2, 3, "failed", 4},
		updateRelease:  {"id", 1, 2},
		pruneSettled:   {"done", 1, 500},
	}
}
