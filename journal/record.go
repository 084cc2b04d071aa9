package journal

import (
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	mathrand "math/rand/v2"
	"time"
)

// State says how far an intent has come.
type State string

const (
	StateOpen    State = "open"    // a claimant is about to send or waits for the answer, or died at it: see LeaseUntil
	StateUnclear State = "unclear" // the outcome is not known: a claimant looks for it, or none does: see LeaseUntil
	StateDone    State = "done"    // Outcome is known
	StateRefused State = "refused" // certainly not done
)

// Record is what the journal knows of one intent. Times are UTC, to the millisecond, by this machine's clock (those of
// another machine have been corrected for the difference); the zero time is "never".
type Record struct {
	ID          string          `json:"id"` // 32 hexadecimal digits, in the order of the claims
	Tenant      string          `json:"tenant"`
	Action      string          `json:"action"`
	Fingerprint string          `json:"fingerprint"`
	Args        string          `json:"args,omitzero"`
	Match       string          `json:"match,omitzero"`
	Origin      string          `json:"origin,omitzero"` // of the first intent with one that it has answered
	Seq         int64           `json:"seq"`             // 1, 2, ... among equal intents
	State       State           `json:"state"`
	About       json.RawMessage `json:"about,omitzero"`
	Outcome     []byte          `json:"outcome,omitempty"` // what Done or Refused was given; nil when empty
	Ref         string          `json:"ref,omitzero"`      // what Done was given
	How         string          `json:"how,omitzero"`      // what Done was given
	Created     time.Time       `json:"created"`
	SentAt      time.Time       `json:"sentAt"`              // the last attempt
	GaveUpAt    time.Time       `json:"gaveUpAt,omitzero"`   // when the last attempt ended without an outcome, as Ended was told; zero if it was not
	Settled     time.Time       `json:"settled,omitzero"`    // when it became done or refused
	LeaseUntil  time.Time       `json:"leaseUntil,omitzero"` // see Held; zero once it is settled or let go of
	Attempts    int64           `json:"attempts"`
	Ending      Ending          `json:"ending,omitzero"` // how the last attempt ended, when GaveUpAt is set
	Delivered   bool            `json:"delivered"`       // some caller got the outcome
}

// Ending is how an attempt ended whose outcome is not known.
type Ending string

const (
	Unanswered Ending = "unanswered" // no answer: it may still be running
	Failed     Ending = "failed"     // a server error: it has ended, and may or may not have been carried out
	Made       Ending = "made"       // carried out, but what it made is not known: it must not be sent again
)

// Held says whether a claimant has the record at time t. If not, and it is open or unclear, the next claimant gets it.
func (r *Record) Held(t time.Time) bool { return r.LeaseUntil.After(t) }

// row is a Record as it is in the database.
type row struct {
	Record
	originSeq int64 // 1, 2, ... among those of one Origin; 0: of none
	version   int64
}

// columns is what scan reads.
const columns = `id, tenant, action, fingerprint, args, matches, origin, origin_seq, seq, state, about, outcome, ref, how,
	created, sent, gave_up, settled, lease_until, attempts, ending, delivered, version`

func (s *store) scan(scan func(...any) error) (row, error) {
	var r row
	var about string
	var ref sql.NullString
	var created, sent, gaveUp, settled, lease int64
	err := scan(&r.ID, &r.Tenant, &r.Action, &r.Fingerprint, &r.Args, &r.Match, &r.Origin, &r.originSeq, &r.Seq, &r.State, &about, &r.Outcome, &ref, &r.How,
		&created, &sent, &gaveUp, &settled, &lease, &r.Attempts, &r.Ending, &r.Delivered, &r.version)
	if err != nil {
		return row{}, err
	}
	if about != "" {
		r.About = json.RawMessage(about)
	}
	if len(r.Outcome) == 0 {
		r.Outcome = nil // the engines differ on it
	}
	r.Ref = ref.String
	r.Created, r.SentAt, r.GaveUpAt, r.Settled, r.LeaseUntil = s.local(created), s.local(sent), s.local(gaveUp), s.local(settled), s.local(lease)
	return r, nil
}

// newID begins with the time, so that records made one after the other lie together and can be listed without another index.
func newID(t time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(t.UnixMilli())<<16)
	rand.Read(b[6:])
	return hex.EncodeToString(b[:])
}

// newVersion marks one write. It is drawn at random and not counted up: had a crashed server lost writes, a count would
// come to the same number again by another way, and a claimant would take the other's record for its own.
func newVersion() int64 { return mathrand.Int64() }
