package cli

import (
	"fmt"
	"go/doc/comment"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// PrintHelp writes how a program or a command of it is called.
func (c *Command) PrintHelp(w io.Writer) error {
	p := page{width: widthOf(w)}
	p.print("Usage: " + c.usage())
	p.print("")
	p.print(wrapped(c.Help, p.width))
	if len(c.Args) > 0 {
		p.table("Arguments:", flagRows(c.Args))
	}
	rows := flagRows(c.Flags)
	if c.program != nil {
		rows = flagRows(c.program.Flags)
		if len(c.Flags) > 0 {
			rows = append(append(rows, row{}), flagRows(c.Flags)...)
		}
	}
	p.table("Flags:", rows)
	if len(c.Commands) > 0 {
		rows = nil
		for _, sub := range c.Commands {
			rows = append(rows, row{sub.Name, sub.Help})
		}
		p.table("Commands:", rows)
		p.print("")
		p.print(fmt.Sprintf("Run \"%s <command> --help\" for more information on a command.", c.Name))
	}
	_, err := io.WriteString(w, p.text.String())
	return err
}

// usage is how a command is called, in one line.
func (c *Command) usage() string {
	words := []string{c.Name}
	if c.program != nil {
		words = []string{c.program.Name, c.Name}
	}
	for _, a := range c.Args {
		words = append(words, a.shown())
	}
	if len(c.Commands) > 0 {
		words = append(words, "<command>")
	}
	return strings.Join(append(words, "[flags]"), " ")
}

// row is a line of a table: what is told of, and what is told of it.
type row struct{ what, told string }

// flagRows are lines that tell of flags, or of arguments.
func flagRows(flags []*Flag) (rows []row) {
	for _, f := range flags {
		what := f.Summary()
		switch {
		case f.arg:
		case f.Short != "":
			what = "-" + f.Short + ", " + what
		default:
			what = "    " + what
		}
		told := f.Help
		if f.Env != "" {
			told = strings.TrimSuffix(told, ".") + " ($" + f.Env + ")."
		}
		rows = append(rows, row{what, told})
	}
	return rows
}

// Summary is how a flag or an argument is written.
func (f *Flag) Summary() string {
	if f.arg || f.IsBool() {
		return f.shown()
	}
	if _, ok := f.Target.(*[]string); ok {
		return f.shown() + "=" + f.Placeholder + ",..."
	}
	return f.shown() + "=" + f.Placeholder
}

// page is a text of lines that are not longer than width, where words allow that.
type page struct {
	text  strings.Builder
	width int
}

func (p *page) print(line string) {
	p.text.WriteString(strings.TrimRight(line, " ") + "\n")
}

// table writes rows under a title, in two columns, of which the first is no wider than what it holds.
func (p *page) table(title string, rows []row) {
	const indent, gap = "  ", "    "
	width := p.width - len(indent)
	most := max(30, width*3/8)
	left := 0
	for _, r := range rows {
		if n := len(r.what); n < most {
			left = max(left, n)
		}
	}
	p.print("")
	p.print(title)
	for _, r := range rows {
		lines := strings.Split(wrapped(r.told, width-left-len(gap)), "\n")
		if len(r.what) >= most {
			lines = append([]string{""}, lines...)
		}
		for i, line := range lines {
			what := r.what
			if i > 0 {
				what = ""
			}
			p.print(fmt.Sprintf("%s%-*s%s%s", indent, left, what, gap, line))
		}
	}
}

// wrapped is text in lines of a width, as go doc shows it: what is indented stays as it is.
func wrapped(text string, width int) string {
	printer := comment.Printer{TextWidth: width, TextCodePrefix: "    "}
	return strings.Trim(string(printer.Text(new(comment.Parser).Parse(text))), "\n")
}

// widthOf is how wide a terminal is, and 80 for what is none.
func widthOf(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		return n
	}
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}
