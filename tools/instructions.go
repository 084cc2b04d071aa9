package tools

import (
	"embed"
	"strings"

	"heffl-mcp/template"
)

//go:embed instructions.md
var instructionsPage embed.FS

// instructions tell a model how the tools that are served go together.
func (d *Deps) instructions() (string, error) {
	pages, err := template.Parse(instructionsPage, "*.md")
	if err != nil {
		return "", err
	}
	has := map[string]bool{}
	for _, t := range all {
		has[t.Name] = d.serves(t.Name)
	}
	text, err := pages.Fill("instructions.md", has)
	return strings.TrimSpace(text), err
}
