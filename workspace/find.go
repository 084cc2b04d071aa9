package workspace

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"heffl-mcp/heffl"
)

// Find says which clients to look for, and how many to return. The zero value of each means its
// default.
type Find struct {
	Type   string // "contact" or "company"; empty: both
	Limit  int    // of the rows, 1 to 100; 0 or less: 10; more: 100
	Cursor string // Found.Next, for what comes after it
}

// Found is a page of clients.
type Found struct {
	Items []heffl.Account // the likeliest first, and the newest of those alike, within what was read. It must not be changed
	Next  string          // cursor of the next page, for the same words and type; empty: this is the last
	Near  []Candidate     // what resembles the words, the nearest first, at most five; only where there are no Items

	// Partial: Heffl's search found nothing, and the lists in which Items and Near were looked for
	// instead have pages that were not read.
	Partial bool
}

// ErrCursor says that a [Find.Cursor] is none, or is of other words or another type.
var ErrCursor = errors.New("not a cursor of this search")

const (
	defaultLimit = 10
	maxLimit     = 100
)

// FindClients lists the contacts and companies that Heffl's search finds for a name, e-mail, domain
// or phone number: all that it finds, whether or not the words name them. Where it finds nothing,
// the newest of each list are looked through for what the words name, spelt in another way, and else
// for what resembles them. An ID is looked for in these only. Without words it lists all clients.
//
// A page is not a moment's picture: of clients that come and go between two calls, one may be left
// out or come twice. The error is ErrCursor, or a *LookupError.
func (w *Workspace) FindClients(ctx context.Context, words string, o Find) (Found, error) {
	if tooLong(words) {
		if o.Cursor != "" { // of such words there is no page
			return Found{}, ErrCursor
		}
		return Found{}, nil
	}
	f, err := w.finding(words, o)
	if err != nil {
		return Found{}, err
	}
	found, err := f.find(ctx, o.Cursor == "")
	if err != nil {
		return Found{}, &LookupError{Kind: f.kind, Err: err}
	}
	return found, nil
}

// NamedClients returns the clients of a type, or with an empty one of both, that words name as
// [Workspace.Resolve] understands them, the likeliest first; that there is none is no error. An e-mail
// is left to Heffl's search. For a name or phone number, which people write in several ways, the newest
// of each list are looked through as well. The error is a *LookupError.
func (w *Workspace) NamedClients(ctx context.Context, words, clientType string) ([]heffl.Account, error) {
	if tooLong(words) {
		return nil, nil
	}
	f, err := w.finding(words, Find{Type: clientType})
	if err != nil || f.q.plain.exact == "" {
		return nil, err
	}
	named, err := f.named(ctx)
	if err != nil {
		return nil, &LookupError{Kind: f.kind, Err: err}
	}
	return accountsOf(named), nil
}

func (f *finding) named(ctx context.Context) ([]hit, error) {
	var all []hit
	for range liveTurns {
		turn, next, err := f.turn(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, namedOf(turn)...)
		if f.at.Pages = next; f.ended() {
			break
		}
	}
	if len(all) > 0 || f.q.email != "" {
		slices.SortStableFunc(all, hit.compare)
		return all, nil
	}
	lists, err := f.keptRows(ctx, missAge) // who asks wants to know of the newest
	return namedOf(f.q.rank(lists)), err
}

// namedOf are the hits that the words name.
func namedOf(hits []hit) []hit {
	return slices.DeleteFunc(hits, func(h hit) bool { return h.level == noMatch })
}

// finding is one call of FindClients or NamedClients.
type finding struct {
	*Workspace
	q     *query
	kind  Kind
	lists []*live[heffl.Account]
	limit int
	at    cursor // what comes next
}

// cursor is where a listing goes on. Rows are shown in turns: one page of each list, ranked
// together. A page is as long whatever the limit is, so a turn is the same whenever it is read.
type cursor struct {
	Of    string    `json:"of"`             // the words and the type that it goes with, hashed
	Pages []*string `json:"pages"`          // Heffl's cursor of each list's page, empty for the first; null: the list has ended
	Shown int       `json:"shown"`          // how many rows of the turn
	Kept  bool      `json:"kept,omitempty"` // the rows are those of the kept lists, all of them one turn
}

func (w *Workspace) finding(words string, o Find) (*finding, error) {
	f := &finding{Workspace: w, q: newQuery(words), kind: Client, limit: min(o.Limit, maxLimit)}
	if f.limit <= 0 {
		f.limit = defaultLimit
	}
	switch o.Type {
	case "":
		f.lists = []*live[heffl.Account]{w.contacts, w.companies}
	case "contact":
		f.kind, f.lists = Contact, []*live[heffl.Account]{w.contacts}
	case "company":
		f.lists = []*live[heffl.Account]{w.companies}
	default:
		return nil, &LookupError{Kind: Client, Err: fmt.Errorf("there is no type %q of clients", o.Type)}
	}
	return f, f.start(o)
}

// start sets where to begin.
func (f *finding) start(o Find) error {
	hash := sha256.Sum256([]byte(o.Type + "\n" + f.q.plain.exact))
	f.at.Of = hex.EncodeToString(hash[:8]) // enough to tell searches apart
	if o.Cursor == "" {
		for range f.lists {
			f.at.Pages = append(f.at.Pages, new(string))
		}
		return nil
	}
	var given cursor
	b, err := base64.RawURLEncoding.DecodeString(o.Cursor)
	if err != nil || json.Unmarshal(b, &given) != nil {
		return ErrCursor
	}
	if given.Of != f.at.Of || len(given.Pages) != len(f.lists) || given.Shown < 0 {
		return ErrCursor
	}
	f.at = given
	return nil
}

func (f *finding) find(ctx context.Context, first bool) (Found, error) {
	id := KindOfID(f.q.plain.exact) == Client
	if f.at.Kept || id {
		return f.kept(ctx)
	}
	found, err := f.search(ctx)
	if err != nil || !first || len(found.Items) > 0 || found.Next != "" || f.q.plain.exact == "" {
		return found, err
	}
	f.at.Kept = true
	return f.kept(ctx)
}

// search shows what Heffl's search finds.
func (f *finding) search(ctx context.Context) (Found, error) {
	var rows []hit
	for range liveTurns {
		turn, next, err := f.turn(ctx)
		if err != nil {
			return Found{}, err
		}
		if rows = append(rows, f.take(turn, f.limit-len(rows))...); f.at.Shown < len(turn) {
			break
		}
		f.at.Pages, f.at.Shown = next, 0
		if len(rows) == f.limit || f.ended() {
			break
		}
	}
	slices.SortStableFunc(rows, hit.compare) // they may be of several turns
	found := Found{Items: accountsOf(rows)}
	if !f.ended() {
		found.Next = f.at.String()
	}
	return found, nil
}

// take returns the next rows of a turn, and counts them as shown.
func (f *finding) take(turn []hit, limit int) []hit {
	from := min(f.at.Shown, len(turn))
	f.at.Shown = min(from+limit, len(turn))
	return turn[from:f.at.Shown]
}

func (f *finding) ended() bool {
	return !slices.ContainsFunc(f.at.Pages, func(page *string) bool { return page != nil })
}

func (c cursor) String() string {
	b, _ := json.Marshal(c) // strings and numbers marshal
	return base64.RawURLEncoding.EncodeToString(b)
}

// rows are some of a list, with a record of each.
type rows struct {
	items   []heffl.Account
	records []record
	partial bool
	next    *string // cursor of the page after them; nil: none
}

// turn reads the page of each list that is next, and says which pages are after those.
func (f *finding) turn(ctx context.Context) (hits []hit, next []*string, err error) {
	type place struct {
		list   *live[heffl.Account]
		cursor *string
	}
	var places []place
	for i, l := range f.lists {
		places = append(places, place{l, f.at.Pages[i]})
	}
	pages, err := each(ctx, places, func(ctx context.Context, p place) (rows, error) {
		if p.cursor == nil {
			return rows{}, nil
		}
		q := heffl.ListQuery{Search: f.q.searchFor(f.kind), PageSize: pageSize, Cursor: *p.cursor}
		page, err := p.list.list(ctx, q)
		if err != nil {
			return rows{}, err
		}
		r := rows{items: page.Items, records: p.list.index(page.Items)}
		if page.Next != "" && page.Next != q.Cursor { // else it leads nowhere
			r.next = &page.Next
		}
		return r, nil
	})
	for _, p := range pages {
		next = append(next, p.next)
	}
	return f.q.rank(pages), next, err
}

// kept shows what the words name in the lists that are kept, or what resembles them there. Before
// it finds nothing, it reads them again.
func (f *finding) kept(ctx context.Context) (Found, error) {
	var all view
	for _, maxAge := range f.ages() {
		lists, err := f.keptRows(ctx, maxAge)
		if err != nil {
			return Found{}, err
		}
		all = view{}
		for _, l := range lists {
			all.records = slices.Concat(all.records, l.records)
			all.partial = all.partial || l.partial
		}
		named := namedOf(f.q.rank(lists))
		if len(named) > 0 {
			found := Found{Items: accountsOf(f.take(named, f.limit)), Partial: all.partial}
			if f.at.Shown < len(named) {
				found.Next = f.at.String()
			}
			return found, nil
		}
		if all.partial { // reading the same pages again shows no more
			break
		}
	}
	if KindOfID(f.q.plain.exact) == Client {
		return Found{Partial: all.partial}, nil // nothing resembles an ID
	}
	return Found{Near: near(ctx, f.lists, f.kind, f.q, all), Partial: all.partial}, nil
}

// keptRows are the lists that are kept, no older than maxAge.
func (f *finding) keptRows(ctx context.Context, maxAge time.Duration) ([]rows, error) {
	return each(ctx, f.lists, func(ctx context.Context, l *live[heffl.Account]) (rows, error) {
		list, records, err := l.get(ctx, maxAge)
		return rows{items: list.Items, records: records, partial: list.Partial}, err
	})
}

// hit is a row that was read, with how likely it is meant.
type hit struct {
	account  heffl.Account
	level    level
	likeness float64
	created  time.Time // zero: not known
	place    int       // in its list
}

func (h hit) compare(o hit) int {
	return cmp.Or(cmp.Compare(h.level, o.level), cmp.Compare(o.likeness, h.likeness), o.created.Compare(h.created), cmp.Compare(h.place, o.place))
}

// rank puts rows of several lists in one order, each once.
func (q *query) rank(lists []rows) []hit {
	var hits []hit
	var c comparison
	seen := map[string]bool{}
	for _, l := range lists {
		for i, a := range l.items {
			if seen[a.ID] {
				continue
			}
			seen[a.ID] = true
			level, _ := q.match(&l.records[i])
			hits = append(hits, hit{a, level, c.likeness(q, &l.records[i]), createdAt(members(a.Raw)), i})
		}
	}
	slices.SortStableFunc(hits, hit.compare)
	return hits
}

func accountsOf(hits []hit) []heffl.Account {
	var accounts []heffl.Account
	for _, h := range hits {
		accounts = append(accounts, h.account)
	}
	return accounts
}
