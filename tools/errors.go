package tools

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/schema"
)

// maxRefusal bounds what a refusal costs a model, in bytes.
const maxRefusal = 4000

// refusal words every fault of a call's arguments.
func refusal(tool string, faults []schema.Fault) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: nothing was sent; correct %s and call again:", tool, count(len(faults), "fault"))
	for i, f := range faults {
		line := "\n- " + f.Error()
		if f.Keyword == "pattern" {
			line += otherKind(f.Got)
		}
		if b.Len()+len(line) > maxRefusal-40 {
			fmt.Fprintf(&b, "\n- and %s more", count(len(faults)-i, "fault"))
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// otherKind says what an ID is of, where one of another kind was wanted.
func otherKind(got string) string {
	if what := idKind(strings.Trim(got, `"`)); what != "" {
		return "; this is the ID of a " + what
	}
	return ""
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// explain words what kept a tool from its end: what happened, what to do, and whether the same
// call again is safe.
func explain(tool string, err error) string {
	return tool + ": " + sentence(err)
}

func sentence(err error) string {
	if e, ok := errors.AsType[*heffl.Error](err); ok {
		return answered(e)
	}
	if e, ok := errors.AsType[*heffl.BodyError](err); ok {
		return fmt.Sprintf("Heffl answered %d, so it was done, but its answer cannot be read (%v). Do not call again: look for it in Heffl.", e.Status, e.Err)
	}
	switch why := cause(err); heffl.EffectOf(err) {
	case heffl.EffectNone:
		return "Heffl could not be reached (" + why + "), and nothing was sent. Check the network and HEFFL_BASE_URL; the same call again is safe."
	default:
		return "the request was sent, but no answer came (" + why + "). It may have been carried out: look for it in Heffl before calling again."
	}
}

func cause(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "the call was cancelled"
	}
	return err.Error()
}

// answered words a refusal or a failure that Heffl told of.
func answered(e *heffl.Error) string {
	said := e.Message
	if said == "" {
		said = http.StatusText(e.Status)
	}
	switch {
	case e.Status == http.StatusUnauthorized:
		return "Heffl refused the API key. Ask the user to check HEFFL_API_KEY: keys are made in Heffl under Settings > Developer. Nothing was done."
	case e.Status == http.StatusForbidden:
		return "the API key's user may not do this in Heffl (" + said + "). Ask an admin of the workspace for the permission, or use another key. Nothing was done."
	case e.Status == http.StatusTooManyRequests:
		return "Heffl's rate limit is reached, nothing was done. Call again with the same arguments " + when(e.Wait) + "."
	case e.Status == http.StatusNotFound:
		return "Heffl does not know something that was named (" + said + "). Nothing was done. Check each ID: is it of this workspace, and of the right kind?"
	case e.Status == http.StatusConflict:
		return "this clashes with what is in Heffl (" + said + "). Nothing was done. Change what clashes and call again."
	case e.Status < 400:
		return fmt.Sprintf("the address redirects elsewhere (%d), and redirects are not followed, so nothing was done. Ask the user to check HEFFL_BASE_URL.", e.Status)
	case e.Status < 500:
		return "Heffl refused this as invalid, and nothing was done. Correct it and call again: " + said + issues(e.Issues)
	}
	return fmt.Sprintf("Heffl failed (%d: %s). It may have been carried out: look for it in Heffl before calling again.", e.Status, said)
}

func issues(list []heffl.Issue) string {
	var b strings.Builder
	for _, i := range list {
		b.WriteString("\n- ")
		if i.Field != "" {
			b.WriteString(i.Field + ": ")
		}
		b.WriteString(i.Message)
	}
	return b.String()
}

func when(wait time.Duration) string {
	if wait <= 0 {
		return "in a minute"
	}
	return fmt.Sprintf("in %d s", int(math.Ceil(wait.Seconds())))
}
