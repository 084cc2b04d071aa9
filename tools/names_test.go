package tools

import (
	"errors"
	"testing"

	"heffl-mcp/workspace"
)

// While one word is looked up, what became of another can be asked: a race, if it is not so.
func TestWordsOnTheirWay(t *testing.T) {
	t.Parallel()
	r := &reading{
		names: []naming{{name: "pipelineId", kind: workspace.Pipeline}},
		words: []words{{path: "clientId", kind: workspace.Client}, {path: "pipelineId", kind: workspace.Pipeline, err: errors.New("unknown")}},
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		r.words[0].match, r.words[0].err = workspace.Match{ID: "clt_1"}, errors.New("not there")
	}()
	if !r.lacksScope() {
		t.Error("a pipeline that is not known gives a scope")
	}
	<-looked
}
