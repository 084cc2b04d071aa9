// Package workspace knows what a Heffl workspace has, and which of it the user's words name.
//
//	w := workspace.New(client, workspace.Options{})
//	m, err := w.Resolve(ctx, workspace.Client, "hello@northwind.example", workspace.Scope{})
//	// m.ID is "clt_...": one client has that e-mail. Otherwise err says how near the words came.
//
// Pipelines, stages, users, sources, tags, products and custom fields are read on first need, once
// for all who need them, and kept for some minutes. So are clients and leads, for one minute, where there
// is but a page of each; where there are more, and of deals always, Heffl is asked to search each time.
// Before a list refuses words, it is read again if it is more than some seconds old, unless it is too
// long to be read whole: then the error says so.
//
// [Workspace.Resolve] turns words into the one thing that they name; [Workspace.FindClients] lists
// what they may mean, for a user to choose from.
//
// Nothing is guessed. One thing must fit the words better than every other; a look-up that failed
// and a list that is too long to be read decide nothing. How that is put to a user, and what is
// done with an ID, is left to the caller.
package workspace

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"heffl-mcp/heffl"
)

// DefaultTTL is what a zero [Options.TTL] means.
const DefaultTTL = 5 * time.Minute

// Options are the settings of a Workspace. The zero value of each means its default.
type Options struct {
	TTL time.Duration    // how long a list is kept; 0: DefaultTTL
	Now func() time.Time // the clock of TTL; nil: time.Now
}

// Workspace is what the key of one client can see. It is safe for concurrent use.
type Workspace struct {
	client *heffl.Client
	ttl    time.Duration
	now    func() time.Time

	pipelines *cache[heffl.Pipeline] // its records are the pipelines
	users     *cache[heffl.User]
	sources   *cache[heffl.Source]
	tags      *cache[heffl.Tag]
	products  *cache[heffl.Product]
	contacts  *live[heffl.Account]
	companies *live[heffl.Account]
	leads     *live[heffl.Account]
	deals     *live[deal]

	mu     sync.Mutex
	fields map[fieldsAt]*cache[Field]
	stages stageViews
}

// New returns a Workspace that has read nothing yet. Keys see different things, so each needs a
// Workspace of its own.
func New(client *heffl.Client, o Options) *Workspace {
	w := &Workspace{client: client, ttl: cmp.Or(o.TTL, DefaultTTL), now: o.Now, fields: map[fieldsAt]*cache[Field]{}}
	if w.now == nil {
		w.now = time.Now
	}
	w.pipelines = newCache(w, w.readPipelines, pipelineRecord)
	w.users = newCache(w, whole(client.ListUsers), userRecord)
	w.sources = newCache(w, whole(client.ListSources), sourceRecord)
	w.tags = newCache(w, whole(client.ListTags), tagRecord)
	w.products = newCache(w, whole(client.ListProducts), productRecord)
	w.contacts = newLive(w, client.ListContacts, accountRecord)
	w.companies = newLive(w, client.ListCompanies, accountRecord)
	w.leads = newLive(w, client.ListLeads, accountRecord)
	w.deals = newLive(w, w.listDeals, dealRecord)
	return w
}

func newCache[T any](w *Workspace, read func(context.Context) (List[T], error), record func(*T) record) *cache[T] {
	return &cache[T]{read: read, index: recordsOf(record), now: w.now}
}

// whole reads a list of reference data. It is not documented that these page, so the first request
// does not ask for a size of page.
func whole[T any](read reader[T]) func(context.Context) (List[T], error) {
	return func(ctx context.Context) (List[T], error) { return readAll(ctx, heffl.ListQuery{}, maxPages, read) }
}

// newest reads the first pages of a list that can be very long.
func newest[T any](read reader[T], pages int) func(context.Context) (List[T], error) {
	return func(ctx context.Context) (List[T], error) {
		return readAll(ctx, heffl.ListQuery{PageSize: pageSize}, pages, read)
	}
}

// readPipelines reads the pipelines, and where the list leaves out their stages each by itself.
// That the list has them is documented only by an example.
func (w *Workspace) readPipelines(ctx context.Context) (List[heffl.Pipeline], error) {
	l, err := whole(w.client.ListPipelines)(ctx)
	for i := range l.Items {
		p := &l.Items[i]
		if err != nil || p.Stages != nil {
			continue
		}
		if i >= maxPipelines {
			l.Partial = true
			break
		}
		var one *heffl.Pipeline
		if one, err = w.client.GetPipeline(ctx, p.ID); err == nil {
			p.Stages = one.Stages
		}
	}
	return l, err
}

// maxPipelines bounds how many pipelines are asked about one by one.
const maxPipelines = 20

// Pipelines returns the pipelines with their stages. Its error, as that of the other lists, is a
// *LookupError.
func (w *Workspace) Pipelines(ctx context.Context) (List[heffl.Pipeline], error) {
	return items(ctx, w, Pipeline, w.pipelines)
}

// Users returns the users, inactive ones too.
func (w *Workspace) Users(ctx context.Context) (List[heffl.User], error) {
	return items(ctx, w, User, w.users)
}

// Sources returns the sources of deals.
func (w *Workspace) Sources(ctx context.Context) (List[heffl.Source], error) {
	return items(ctx, w, Source, w.sources)
}

// Tags returns the tags of all types.
func (w *Workspace) Tags(ctx context.Context) (List[heffl.Tag], error) {
	return items(ctx, w, Tag, w.tags)
}

// Products returns the catalogue, with what is no longer sold.
func (w *Workspace) Products(ctx context.Context) (List[heffl.Product], error) {
	return items(ctx, w, Product, w.products)
}

// priceAge is how long the price of a product is taken for its price.
const priceAge = time.Minute

// Product returns the product with an ID as it was at most a minute ago, be it sold no longer. It is not
// ok where the catalogue lacks it. The error is a *LookupError, of [ErrPartial] where there is more of the
// catalogue than was read and the product is not in what was.
func (w *Workspace) Product(ctx context.Context, id string) (p heffl.Product, ok bool, err error) {
	var l List[heffl.Product]
	for _, maxAge := range []time.Duration{priceAge, missAge} {
		if l, _, err = w.products.get(ctx, maxAge); err != nil {
			return p, false, &LookupError{Kind: Product, Err: err}
		}
		if i := slices.IndexFunc(l.Items, func(p heffl.Product) bool { return p.ID == id }); i >= 0 {
			return l.Items[i], true, nil
		}
	}
	if l.Partial {
		return p, false, &LookupError{Kind: Product, Err: ErrPartial}
	}
	return p, false, nil
}

func items[T any](ctx context.Context, w *Workspace, kind Kind, c *cache[T]) (List[T], error) {
	l, _, err := c.get(ctx, w.ttl)
	if err != nil {
		return List[T]{}, &LookupError{Kind: kind, Err: err}
	}
	return l, nil
}
