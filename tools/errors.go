package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"heffl-mcp/heffl"
	"heffl-mcp/journal"
	"heffl-mcp/schema"

	"github.com/go-json-experiment/json/jsontext"
)

// A failure is what kept a tool from its end, in words for a model and as data for _meta.
type failure struct {
	outcome    string         // one word: heffl-mcp/outcome
	text       string         // what happened, what to do, and whether the same call again is safe
	unsafe     bool           // the same call again could do it twice: heffl-mcp/retrySafe is its opposite
	retryAfter time.Duration  // before this, the same call again ends the same; 0: not known
	meta       map[string]any // more, by names that begin with ours
	cause      error          // for the log and for errors.Is
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// What else the outcome of a call can be, besides those of once.
const (
	previewed = "previewed"
)

// The outcomes of calls that did not end as they should.
const (
	invalid     = "invalid"     // the arguments have faults; nothing was sent
	refused     = "refused"     // Heffl refused; nothing was done
	rateLimited = "rateLimited" // Heffl's rate limit; nothing was done
	notSent     = "notSent"     // nothing left this program
	lookAlike   = "lookAlike"   // something that looks the same is there; nothing was sent
	unsettled   = "unclear"     // it was sent, and what became of it is not known yet
	broken      = "broken"      // a fault of this program
)

// maxRefusal bounds what a refusal costs a model, in bytes.
const maxRefusal = 4000

// refusal words every fault of a call's arguments and every problem with their words, and what was
// put right before.
func refusal(faults []schema.Fault, problems []string, repairs []schema.Repair) *failure {
	all := len(faults) + len(problems)
	var b strings.Builder
	fmt.Fprintf(&b, "nothing was sent; correct %s and call again:", count(all, "fault"))
	told := map[string]string{} // where, by what is allowed of properties
	for i := range all {        // most may not be told, so each is worded when it is its turn
		var line string
		if i < len(faults) {
			f := faults[i]
			if f.Keyword == "unknown" && f.Meant == "" {
				if path, ok := told[f.Want]; ok {
					f.Want = "the same as for " + path // the list is long, and costs a model each time
				} else {
					told[f.Want] = f.Path
				}
			}
			line = f.Error()
		} else {
			line = problems[i-len(faults)]
		}
		if b.Len()+len(line) > maxRefusal-80 {
			fmt.Fprintf(&b, "\n- and %s more", count(all-i, "fault"))
			break
		}
		b.WriteString("\n- " + line)
	}
	if len(repairs) > 0 && b.Len() < maxRefusal/2 {
		b.WriteString("\nThe rest has one meaning and may stay: " + listed(repairs) + ".")
	}
	return &failure{outcome: invalid, text: b.String()}
}

// cleared adds to problems those of values that were given as nothing to a tool that changes what
// is there: left out, they would change nothing, and the user may want them gone. In doc, which has
// what is left, a custom field can still hold nothing, which may wipe out what is there: whether
// Heffl takes it so is not documented.
func cleared(problems []string, repairs []schema.Repair, doc object) []string {
	add := func(path, got string) {
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, path+": ") }) {
			problems = append(problems, path+": got "+got+"; a value cannot be taken away here; leave it out to keep it")
		}
	}
	for _, r := range repairs {
		if r.To == "" {
			add(r.Path, r.From)
		}
	}
	for _, m := range doc {
		if strings.HasPrefix(m.name, "cf_") && isNothing(m.value) {
			add(m.name, brief(m.value))
		}
	}
	return problems
}

// isNothing reports whether a value is null, blank or an empty list.
func isNothing(v json.RawMessage) bool {
	switch kind := jsontext.Value(v).Kind(); kind {
	case '"':
		return strings.TrimSpace(text(jsontext.Value(v))) == ""
	case '[':
		return len(bytes.TrimSpace(v[1:len(v)-1])) == 0
	default:
		return kind == 'n'
	}
}

// maxListed bounds how many repairs, or words that were understood, are told of.
const maxListed = 20

// said are things in words, the first of them.
func said[T fmt.Stringer](things []T) []string {
	var words []string
	for _, t := range things[:min(len(things), maxListed)] {
		words = append(words, t.String())
	}
	return words
}

func listed[T fmt.Stringer](things []T) string {
	s := strings.Join(said(things), "; ")
	if more := len(things) - maxListed; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s
}

// bounded cuts a text to what it may cost a model.
func bounded(s string) string {
	if len(s) <= maxRefusal {
		return s
	}
	cut := s[:maxRefusal-len("…")]
	for !utf8.ValidString(cut) {
		cut = cut[:len(cut)-1]
	}
	return cut + "…"
}

func quoted(s string) json.RawMessage {
	b, _ := jsontext.AppendQuote(nil, s) // what is not Unicode is replaced
	return b
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// explain words what kept a tool from its end.
func explain(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*heffl.Error](err); ok {
		return answered(e)
	}
	if e, ok := errors.AsType[*heffl.WaitError](err); ok {
		return limited(e.Wait)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{outcome: notSent, cause: err, text: "the time for one call was over before anything was sent. Call again with the same arguments."}
	case errors.Is(err, context.Canceled):
		return &failure{outcome: notSent, cause: err, text: "the call was cancelled before anything was sent. The same call again is safe."}
	}
	if e, ok := errors.AsType[*heffl.BodyError](err); ok {
		return &failure{outcome: notSent, cause: err, text: "Heffl's answer is of no use (" + reason(e) + "), and nothing was done. If the same call ends so again, ask the user to check HEFFL_BASE_URL: it may not be the address of the API."}
	}
	return &failure{outcome: notSent, cause: err, text: "Heffl could not be reached (" + reason(err) + "), and nothing was done. Check the network and HEFFL_BASE_URL; the same call again is safe."}
}

// reason is why something failed, without what the words around it say already.
func reason(err error) string {
	if e, ok := errors.AsType[*heffl.ConnError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*heffl.BodyError](err); ok {
		return fmt.Sprintf("its answer %d cannot be read: %v", e.Status, e.Err)
	}
	if e, ok := errors.AsType[*heffl.Error](err); ok {
		said := fmt.Sprintf("it answered %d", e.Status)
		if e.Message != "" {
			said += ": " + foreign(e.Message, maxSaid)
		}
		return said
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

// maxSaid bounds what is repeated of a message of Heffl's, in characters.
const maxSaid = 500

// answered words a refusal, or that a read failed at Heffl.
func answered(e *heffl.Error) *failure {
	said := http.StatusText(e.Status)
	if e.Message != "" {
		said = foreign(e.Message, maxSaid)
	}
	f := &failure{outcome: refused, cause: e}
	switch e.Status {
	case http.StatusTooManyRequests:
		return limited(e.Wait)
	case http.StatusUnauthorized:
		f.text = "Heffl refused the API key, and nothing was done. Ask the user to check HEFFL_API_KEY: keys are made in Heffl under Settings > Developer."
	case http.StatusForbidden:
		f.text = "the API key's user may not do this in Heffl (" + said + "), and nothing was done. Ask an admin of the workspace for the permission, or use another key."
	case http.StatusNotFound:
		f.text = "Heffl does not know something that was named (" + said + "), and nothing was done. Check each ID: is it of this workspace, and of the right kind?" + issues(e.Issues)
	case http.StatusConflict:
		f.text = "this clashes with what is in Heffl (" + said + "), and nothing was done. Change what clashes and call again." + issues(e.Issues)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		f.text = fmt.Sprintf("the address redirects elsewhere (%d), redirects are not followed, and nothing was done. Ask the user to check HEFFL_BASE_URL.", e.Status)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		f.text = "Heffl refused this as invalid, and nothing was done. Correct it and call again: " + said + issues(e.Issues)
	default:
		f.text = fmt.Sprintf("Heffl answered %d (%s), and nothing was done.", e.Status, said) + issues(e.Issues)
		if e.Status >= 500 || e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooEarly {
			f.outcome, f.retryAfter = notSent, e.Wait
			f.text = fmt.Sprintf("Heffl cannot answer at the moment (%d: %s), and nothing was done. Call again with the same arguments %s.", e.Status, said, when(e.Wait))
		}
	}
	return f
}

func issues(list []heffl.Issue) string {
	var b strings.Builder
	for _, i := range list {
		b.WriteString("\n- ")
		if i.Field != "" {
			b.WriteString(oneOf(i.Field) + ": ")
		}
		b.WriteString(foreign(i.Message, maxSaid))
	}
	return b.String()
}

func limited(wait time.Duration) *failure {
	return &failure{
		outcome: rateLimited, retryAfter: wait,
		text: "Heffl's rate limit is reached, and nothing was done. Call again with the same arguments " + when(wait) + ".",
	}
}

func when(wait time.Duration) string {
	if wait <= 0 {
		return "in a minute"
	}
	return fmt.Sprintf("in %d s", wholeSeconds(wait))
}

func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// unclear says that a request was sent and that its outcome is not known. With a journal, the same
// call again looks first; without one, nobody would remember to.
func (m *making) unclear(err error) *failure {
	f := &failure{outcome: unsettled, cause: err, unsafe: m.Journal == nil}
	what := "it was sent, and whether Heffl has carried it out is not known yet"
	switch m.claim.Record.Ending {
	case journal.Made:
		what = "Heffl has carried it out, but what it made cannot be found yet"
	case journal.Failed:
		what = "Heffl failed after it was sent, and whether it was carried out is not known yet"
	}
	if err != nil {
		what += " (" + reason(err) + ")"
	}
	if f.unsafe {
		f.text = what + ". Nothing here remembers it (HEFFL_MCP_STATE is off): look for it in Heffl before calling again."
		return f
	}
	f.text = what + ". Call " + m.tool + " again with the same arguments: it looks first, and makes no second one."
	return f
}

// crashed says that this program is at fault. With a journal, the same call again looks first.
func crashed(remembered bool) *failure {
	text := "failed inside heffl-mcp; its log has the cause. What was done is not known: "
	if remembered {
		return &failure{outcome: broken, text: text + "the same call again looks first, and makes no second one."}
	}
	return &failure{outcome: broken, unsafe: true, text: text + "look in Heffl before calling again."}
}

// noRecord stops a write that could not be written down: nothing is sent without a record.
func noRecord(err error) error {
	if err == nil || errors.Is(err, journal.ErrLost) {
		return err
	}
	return &failure{outcome: notSent, cause: err, text: "nothing was sent, because it could not be written down first, and without that a crash could make it twice: " +
		err.Error() + ". Ask the user to mend it; HEFFL_MCP_STATE names the journal."}
}

// rivalUnclear stops a first send while one that looks the same is unsettled.
func (m *making) rivalUnclear() error {
	return &failure{outcome: lookAlike, text: fmt.Sprintf("nothing was sent, because an earlier call for a %s that looks the same has not come to an end, and may have made it. "+
		"Repeat that call with its own arguments first, or call again with allowDuplicate: true if the user wants another one.", m.name)}
}

// nearlyMade says of what was found that it may be what an earlier send made.
func (m *making) nearlyMade(f *found) error {
	row := parse(f.object)
	otherwise := "call again with allowDuplicate: true."
	if m.insisted() {
		otherwise = "no more can be found out; a call that says something else, with allowDuplicate: true, makes one more."
	}
	return &failure{
		outcome: lookAlike,
		meta:    map[string]any{ours + "lookAlike": row.JSON()},
		text: fmt.Sprintf("this was sent and got no answer. The %s %s is there, but may be another: %s. If it is the one, you are done: use it. If it is another one, %s",
			m.name, m.told(row), strings.Join(f.doubts, "; "), otherwise),
	}
}
