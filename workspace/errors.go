package workspace

import (
	"errors"
	"fmt"
)

// UnresolvedError says that words do not name exactly one thing of a kind.
type UnresolvedError struct {
	Kind  Kind
	Input string // the words; of those that are too long to name anything, only the beginning

	// Candidates are the nearest things there are, the nearest first, at most five; when Ambiguous,
	// those that the words name.
	Candidates []Candidate

	Ambiguous bool // several things are named so equally well
	Matches   int  // how many, when Ambiguous

	// Partial: the list has pages that were not read, so it cannot be told whether the words name
	// nothing, one thing or several. Something more exact than a name (an ID, an e-mail) may help.
	Partial bool

	// Elsewhere is what the words do name, where that cannot be used; nil: nothing. What they name less
	// well, and could be used, is among the Candidates.
	Elsewhere *Elsewhere

	IDOf Kind // Input has the form of an ID of this other kind, and nothing is called so; empty: it has not
}

// Elsewhere is a thing that fits the words and not the place.
type Elsewhere struct {
	Match Match
	Why   Why
	Where string // the name of the pipeline, or the type of the tag
}

// Why a thing cannot be used.
type Why string

// The reasons.
const (
	OtherPipeline Why = "pipeline" // a stage or custom field of another pipeline
	OtherType     Why = "type"     // a tag for other things than deals
	Inactive      Why = "inactive" // a user, product or pipeline that is there no more
)

// Candidate is a thing that may have been meant.
type Candidate struct {
	ID    string
	Name  string
	Facts []string // what tells it from others of the name: e-mail, company, phone, pipeline, status, day of making
	Score float64  // likeness to the words, 0 to 1
}

func (e *UnresolvedError) Error() string {
	switch {
	case e.IDOf != "":
		return fmt.Sprintf("%q is the ID of a %s, not of a %s", e.Input, e.IDOf, e.Kind)
	case e.Ambiguous:
		return fmt.Sprintf("%d of kind %s are named %q", e.Matches, e.Kind, e.Input)
	case e.Partial:
		return fmt.Sprintf("the list is too long to tell which %s %q is", e.Kind, e.Input)
	case e.Elsewhere != nil:
		return fmt.Sprintf("the %s %q cannot be used here: %s %s", e.Kind, e.Elsewhere.Match.Name, e.Elsewhere.Why, e.Elsewhere.Where)
	}
	return fmt.Sprintf("no %s is named %q", e.Kind, e.Input)
}

// ErrPartial says that a list has pages that were not read, and that what is asked for may be there.
var ErrPartial = errors.New("the list has more pages than were read")

// LookupError says that a list could not be read, so nothing is known. It unwraps to the reason,
// an error of package heffl or of the context.
type LookupError struct {
	Kind Kind
	Err  error
}

func (e *LookupError) Error() string { return fmt.Sprintf("looking for a %s: %v", e.Kind, e.Err) }

func (e *LookupError) Unwrap() error { return e.Err }
