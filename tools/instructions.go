package tools

import (
	_ "embed"
	"strings"
	"text/template"
)

//go:embed instructions.md
var instructionsText string

// instructions tell a model how the tools that are served go together.
func (d *Deps) instructions() (string, error) {
	t, err := template.New("instructions.md").Parse(instructionsText)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, d.served)
	return strings.TrimSpace(b.String()), err
}
