package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The statements, the same for both engines. A single statement is a transaction by itself, and there are no others:
// what one claimant must not do behind another's back is refused by the version, or by a unique index.
const (
	table  = `journal_intents`
	ofThis = ` FROM ` + table + ` WHERE tenant = $1 AND action = $2`
	mine   = `, version = $3 WHERE id = $1 AND version = $2`

	selectID     = `SELECT ` + columns + ` FROM ` + table + ` WHERE id = $1`
	selectLatest = `SELECT ` + columns + ofThis + ` AND fingerprint = $3 ORDER BY seq DESC LIMIT 1`
	selectArgs   = `SELECT ` + columns + ofThis + ` AND args = $3 AND state = 'done' AND settled > $4 ORDER BY settled DESC LIMIT 1`
	selectSame   = `SELECT ` + columns + ofThis + ` AND fingerprint = $3 AND state = 'done' AND settled > $4 ORDER BY seq DESC LIMIT 1`
	selectOrigin = `SELECT ` + columns + ofThis + ` AND origin = $3 AND origin <> '' ORDER BY origin_seq DESC LIMIT 1`
	selectKept   = `SELECT ` + columns + ofThis + ` AND origin = $3 AND origin <> '' AND state <> 'refused' ORDER BY origin_seq DESC LIMIT 1`
	selectMadeOf = `SELECT ` + columns + ofThis + ` AND origin = $3 AND origin <> '' AND state = 'done' AND settled > $4 ORDER BY origin_seq DESC LIMIT 1`
	selectRivals = `SELECT ` + columns + ofThis + ` AND matches = $3 AND settled = 0 AND id <> $4 ORDER BY id`
	selectStrays = `SELECT ` + columns + ofThis + ` AND args = $3 AND settled = 0 AND fingerprint <> $4 ORDER BY id`
	selectCounts = `SELECT state, COUNT(*) FROM ` + table + ` GROUP BY state`

	// insertRecord does nothing when this is not the next of its equals, or not the next of its origin: someone else came
	// between. (What is not a text is cast since PostgreSQL would take it for one here.)
	insertRecord = `INSERT INTO ` + table + ` (id, tenant, action, fingerprint, args, matches, seq, state, about,
		created, sent, settled, lease_until, attempts, version, origin, origin_seq)
		SELECT $1, $2, $3, $4, $5, $6, CAST($7 AS BIGINT), $8, $9,
		CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($12 AS BIGINT), CAST($13 AS BIGINT), CAST($14 AS BIGINT), CAST($15 AS BIGINT), $16, CAST($17 AS BIGINT)
		WHERE COALESCE((SELECT MAX(seq) FROM ` + table + ` WHERE tenant = $2 AND action = $3 AND fingerprint = $4), 0) = CAST($7 AS BIGINT) - 1
		AND ($16 = '' OR ` + lastOfOrigin + ` = CAST($17 AS BIGINT) - 1)
		ON CONFLICT DO NOTHING`
	lastOfOrigin = `COALESCE((SELECT MAX(origin_seq) FROM ` + table + ` WHERE tenant = $2 AND action = $3 AND origin = $16 AND origin <> ''), 0)`
	deleteRecord = `DELETE FROM ` + table + ` WHERE id = $1`

	updateTakeover  = `UPDATE ` + table + ` SET state = 'unclear', lease_until = $4` + mine
	updateSending   = `UPDATE ` + table + ` SET state = 'open', attempts = attempts + 1, sent = $4, lease_until = $5, gave_up = 0, ending = ''` + mine
	updateExtend    = `UPDATE ` + table + ` SET lease_until = $4` + mine
	updateDone      = `UPDATE ` + table + ` SET state = 'done', ref = $4, outcome = $5, how = $6, delivered = $7, settled = $8, lease_until = 0` + mine
	updateRefused   = `UPDATE ` + table + ` SET state = 'refused', outcome = $4, settled = $5, lease_until = 0` + mine
	updateEnded     = `UPDATE ` + table + ` SET state = 'unclear', gave_up = $4, ending = $5, lease_until = $6` + mine
	updateRelease   = `UPDATE ` + table + ` SET state = 'unclear', lease_until = 0` + mine
	updateDelivered = `UPDATE ` + table + ` SET delivered = TRUE` + mine

	// updateOrigin gives a record of no origin the next place of one, unless something of that stands in the way. The version
	// stays: whoever has the record has it still.
	updateOrigin = `UPDATE ` + table + ` SET origin = $2, origin_seq = 1 + COALESCE((SELECT MAX(o.origin_seq) FROM ` + table + ` o
		WHERE o.tenant = ` + table + `.tenant AND o.action = ` + table + `.action AND o.origin = $2 AND o.origin <> ''), 0)
		WHERE id = $1 AND origin = '' AND state <> 'refused' AND NOT EXISTS (SELECT 1 FROM ` + table + ` o
		WHERE o.tenant = ` + table + `.tenant AND o.action = ` + table + `.action AND o.origin = $2 AND o.origin <> ''
		AND (o.settled = 0 OR o.state = 'done' AND o.settled > $3))`

	updateAnyDelivered = `UPDATE ` + table + ` SET delivered = TRUE, version = $2 WHERE id = $1 AND state = 'done' AND NOT delivered`

	pruneBatch     = 500
	pruneSettled   = `DELETE FROM ` + table + ` WHERE id IN (SELECT id FROM ` + table + ` WHERE state = $1 AND settled < $2 ORDER BY settled LIMIT $3)`
	pruneUnsettled = `DELETE FROM ` + table + ` WHERE id IN (SELECT id FROM ` + table + ` WHERE state = $1 AND settled = 0 AND sent < $2 AND lease_until < $2 LIMIT $3)`
)

// selectOwned asks for ownedBatch refs at a time; a shorter list is filled up, so that one prepared statement serves all.
const ownedBatch = 50

var selectOwned = func() string {
	places := make([]string, ownedBatch)
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+3)
	}
	return `SELECT ref, id` + ofThis + ` AND ref IN (` + strings.Join(places, ", ") + `)`
}()

// Find gives the newest record with these Args (as given to Claim) that is done and within the window, and whether
// there is one. It writes nothing.
func (j *Journal) Find(ctx context.Context, tenant, action, args string) (*Record, bool, error) {
	return j.find(ctx, selectArgs, tenant, action, args)
}

func (j *Journal) find(ctx context.Context, by, tenant, action, hash string) (*Record, bool, error) {
	s, err := j.open(ctx)
	if err != nil {
		return nil, false, err
	}
	rows, err := s.many(ctx, by, tenant, action, hash, s.stamp(j.now().Add(-j.options.Window)))
	if err != nil || len(rows) == 0 {
		return nil, false, err
	}
	return &rows[0], true, nil
}

// Same is Find by the Fingerprint.
func (j *Journal) Same(ctx context.Context, tenant, action, fingerprint string) (*Record, bool, error) {
	return j.find(ctx, selectSame, tenant, action, fingerprint)
}

// MadeOf is Find by the Origin.
func (j *Journal) MadeOf(ctx context.Context, tenant, action, origin string) (*Record, bool, error) {
	return j.find(ctx, selectMadeOf, tenant, action, origin)
}

// Attach says that a record, which came from nowhere known, answers an intent of this origin too: from now on it stands
// for all of the origin. It is not ok where there is a reason against that: the record has an origin, or was refused, or the
// origin has another record that is not settled or is done within the window.
func (j *Journal) Attach(ctx context.Context, id, origin string) (ok bool, err error) {
	if err := checkText(origin); err != nil || origin == "" {
		return false, err
	}
	s, err := j.open(ctx)
	if err != nil {
		return false, err
	}
	n, err := s.write(ctx, durable, updateOrigin, id, origin, s.stamp(j.now().Add(-j.options.Window)))
	if errors.Is(err, ErrTaken) { // another got the place in this moment
		return false, nil
	}
	return n == 1, err
}

// Get gives one record, or ErrNotFound.
func (j *Journal) Get(ctx context.Context, id string) (*Record, error) {
	s, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.one(ctx, selectID, id)
	if err != nil {
		return nil, err
	}
	return &r.Record, nil
}

// Wait returns the record once nobody holds it: it is settled, it was let go of, or its claimant's lease ran out. While a
// claimant sends or looks for the outcome, it waits. It reads the record after 5 ms and then ever less often, at least every 200 ms.
func (j *Journal) Wait(ctx context.Context, id string) (*Record, error) {
	for pause := 5 * time.Millisecond; ; pause = min(pause*3/2, 200*time.Millisecond) {
		r, err := j.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		now := j.options.Now()
		if !r.Held(now) {
			return r, nil
		}
		if err := sleep(ctx, min(pause, r.LeaseUntil.Sub(now))); err != nil {
			return nil, fmt.Errorf("journal: waiting for %s: %w", id, err)
		}
	}
}

// Owned tells which of the refs belong to a done intent, and to which: ref to ID.
func (j *Journal) Owned(ctx context.Context, tenant, action string, refs []string) (map[string]string, error) {
	s, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkText(refs...); err != nil {
		return nil, err
	}
	owned := make(map[string]string)
	for len(refs) > 0 {
		args := []any{tenant, action}
		for i := range ownedBatch {
			args = append(args, refs[min(i, len(refs)-1)])
		}
		refs = refs[min(ownedBatch, len(refs)):]
		found, err := query(ctx, s, selectOwned, args, func(scan func(...any) error) (o [2]string, err error) {
			err = scan(&o[0], &o[1])
			return o, err
		})
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			owned[o[0]] = o[1]
		}
	}
	return owned, nil
}

// Rivals gives the open and unclear records of equal Match, held or not, but for exceptID, oldest first: an outcome found
// by Match may as well be theirs.
func (j *Journal) Rivals(ctx context.Context, tenant, action, match, exceptID string) ([]Record, error) {
	s, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	return s.many(ctx, selectRivals, tenant, action, match, exceptID)
}

// Strays gives the open and unclear records with these Args (as given to Claim) and another Fingerprint, oldest first: the
// same words meant something else when they were sent.
func (j *Journal) Strays(ctx context.Context, tenant, action, args, fingerprint string) ([]Record, error) {
	s, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	return s.many(ctx, selectStrays, tenant, action, args, fingerprint)
}

// Filter says what to list. The zero value: the newest 100 of everything.
type Filter struct {
	Tenant  string // "": all
	Action  string // "": all
	Unclear bool   // only what is not settled: open and unclear
	Limit   int    // zero: 100
	Before  string // an ID: only what is older, such as the last of the page before
}

// List gives records, newest first.
func (j *Journal) List(ctx context.Context, f Filter) ([]Record, error) {
	s, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	var where []string
	var args []any
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if f.Tenant != "" {
		add("tenant = $%d", f.Tenant)
	}
	if f.Action != "" {
		add("action = $%d", f.Action)
	}
	if f.Before != "" {
		add("id < $%d", f.Before)
	}
	if f.Unclear {
		where = append(where, "settled = 0")
	}
	text := `SELECT ` + columns + ` FROM ` + table
	if len(where) > 0 {
		text += ` WHERE ` + strings.Join(where, " AND ")
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	args = append(args, f.Limit)
	return s.many(ctx, text+fmt.Sprintf(" ORDER BY id DESC LIMIT $%d", len(args)), args...)
}

// Counts tells how many records there are in each state that any is in.
func (j *Journal) Counts(ctx context.Context) (map[State]int, error) {
	s, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	type count struct {
		state State
		n     int
	}
	found, err := query(ctx, s, selectCounts, nil, func(scan func(...any) error) (c count, err error) {
		err = scan(&c.state, &c.n)
		return c, err
	})
	if err != nil {
		return nil, err
	}
	counts := make(map[State]int)
	for _, c := range found {
		counts[c.state] = c.n
	}
	return counts, nil
}
