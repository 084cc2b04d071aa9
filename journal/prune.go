package journal

import (
	"context"
	"time"
)

// pruneEvery is how often the Journal looks for old records, when it is used at all.
const pruneEvery = time.Hour

// pruneSoon prunes in the background if it is time. Close waits for it.
func (j *Journal) pruneSoon(s *store) {
	j.opening <- struct{}{} // so that Close doesn't come between
	defer func() { <-j.opening }()
	now := j.now()
	if j.closed || now.Before(j.nextPrune) {
		return
	}
	j.nextPrune = now.Add(pruneEvery) // a prune is over long before: its patience is
	j.housework.Go(func() {
		if err := j.prune(context.Background(), s, now); err != nil {
			j.options.Log.Warn("old journal records were not pruned", "error", err)
		}
	})
}

// prune deletes what is past its time, some at once, so that no claimant waits long for its turn.
func (j *Journal) prune(ctx context.Context, s *store, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, old := range []struct {
		query string
		state State
		age   time.Duration
	}{
		{pruneSettled, StateDone, j.options.Retention},
		{pruneSettled, StateRefused, j.options.Retention},
		{pruneUnsettled, StateOpen, unsettledRetentions * j.options.Retention},
		{pruneUnsettled, StateUnclear, unsettledRetentions * j.options.Retention},
	} {
		for n := int64(pruneBatch); n == pruneBatch; {
			var err error
			n, err = s.write(ctx, relaxed, old.query, string(old.state), s.stamp(now.Add(-old.age)), pruneBatch)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
