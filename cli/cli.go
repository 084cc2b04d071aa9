// Package cli reads a command line into a struct whose fields are its flags, arguments and commands: each says in its
// tags what it is called, which environment variable means the same, what it is where neither is given, and what it is for.
//
//	var c struct {
//		Timeout time.Duration `env:"TIMEOUT" default:"20s" placeholder:"20s" help:"One request."`
//		Call    struct {
//			Tool string `arg:"" help:"Name of the tool."`
//		} `cmd:"" help:"Call one tool."`
//	}
//	line, err := cli.New("program", "What it is for.", &c, nil).Parse(os.Args[1:])
//
// It knows no types but string, bool, int, time.Duration and []string, and calls nothing by a name that it makes up while it runs, so
// that the linker can leave out what no code calls. What a command does is left to its struct.
package cli

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/agnivade/levenshtein"
)

// A Command is a program, or one of the commands that it has.
type Command struct {
	Name     string
	Help     string
	Flags    []*Flag // its own; those of the program come before them
	Args     []*Flag // what it takes by place
	Commands []*Command
	Target   any // a pointer to its struct

	program  *Command // that it is of; nil: it is one
	standard bool     // it is meant where none is named
}

// A Flag is one that is given as --name=value, or an argument.
type Flag struct {
	Name        string
	Help        string
	Short       string // a letter, for a flag that is on or off
	Env         string // the variable of the same meaning
	Default     string
	Enum        []string // the only values; none: any
	Placeholder string   // stands for a value in the help
	Optional    bool     // an argument that may be left out
	Target      any      // a pointer to its field

	arg bool
}

// New reads the tags of the struct that grammar points to. A field with cmd is a command, one with arg an argument, and any other a flag;
// an unexported one is none of them, and those of an embedded struct are as if they stood in its place. In tags, ${default}, ${enum} and ${NAME} of vars stand for what they name. The command with
// default:"withargs" is the one that is meant where none is named.
func New(name, help string, grammar any, vars map[string]string) *Command {
	c := &Command{Name: name, Help: help, Target: grammar}
	c.read(reflect.ValueOf(grammar).Elem(), vars)
	return c
}

func (c *Command) read(v reflect.Value, vars map[string]string) {
	for field, value := range v.Fields() {
		f := new(Flag)
		tag := func(key string) string {
			return os.Expand(field.Tag.Get(key), func(name string) string {
				switch name {
				case "default":
					return f.Default
				case "enum":
					return strings.Join(f.Enum, ",")
				}
				return vars[name]
			})
		}
		_, isCommand := field.Tag.Lookup("cmd")
		_, isArg := field.Tag.Lookup("arg")
		_, optional := field.Tag.Lookup("optional")
		switch {
		case field.Anonymous:
			c.read(value, vars)
			continue
		case !field.IsExported():
			continue
		case isCommand:
			sub := &Command{
				Name: nameOf(field), Help: tag("help"), Target: value.Addr().Interface(),
				program: c, standard: tag("default") == "withargs",
			}
			sub.read(value, vars)
			c.Commands = append(c.Commands, sub)
			continue
		}
		*f = Flag{
			Name: nameOf(field), Short: tag("short"), Env: tag("env"), Default: tag("default"), Placeholder: tag("placeholder"),
			Optional: optional, Target: value.Addr().Interface(), arg: isArg,
		}
		if enum := tag("enum"); enum != "" {
			f.Enum = strings.Split(enum, ",")
		}
		f.Help = tag("help")
		if isArg {
			c.Args = append(c.Args, f)
		} else {
			c.Flags = append(c.Flags, f)
		}
	}
}

// nameOf is the name that a field gives itself, or its own in lower case, with a dash before each further word.
func nameOf(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range f.Name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// IsBool says that a flag is on or off, and so needs no value.
func (f *Flag) IsBool() bool {
	_, ok := f.Target.(*bool)
	return ok
}

// shown is what a flag or an argument is called where it is told of.
func (f *Flag) shown() string {
	switch {
	case !f.arg:
		return "--" + f.Name
	case f.Optional:
		return "[<" + f.Name + ">]"
	}
	return "<" + f.Name + ">"
}

// choices are the only values, as errors list them.
func (f *Flag) choices() string { return `"` + strings.Join(f.Enum, `","`) + `"` }

// A Line is a command line that was understood, but for the values in it.
type Line struct {
	Command *Command
	Named   bool // the command was named, and is not only meant
	given   []given
}

type given struct {
	flag  *Flag
	value string
}

// Parse understands the command line of a program. A flag of the program may stand before its command or after it.
func (c *Command) Parse(args []string) (*Line, error) {
	l := &Line{Command: c}
	places, onlyPlaces := 0, false
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case onlyPlaces || arg == "-" || !strings.HasPrefix(arg, "-"):
			places, err = l.place(arg, places)
		case arg == "--":
			onlyPlaces = true
		case strings.HasPrefix(arg, "--"):
			args, err = l.long(arg, args)
		default:
			err = l.short(arg)
		}
		if err != nil {
			return nil, err
		}
	}
	l.choose()
	return l, nil
}

// place takes a word that is no flag: the name of a command, or the command's next argument.
func (l *Line) place(arg string, places int) (int, error) {
	for _, sub := range l.Command.Commands {
		if sub.Name == arg {
			l.Command, l.Named = sub, true
			return 0, nil
		}
	}
	l.choose()
	if places == len(l.Command.Args) {
		return 0, errors.New("unexpected argument " + brief(arg))
	}
	l.given = append(l.given, given{l.Command.Args[places], arg})
	return places + 1, nil
}

// choose takes the command that is meant where none was named.
func (l *Line) choose() {
	for _, sub := range l.Command.Commands {
		if sub.standard {
			l.Command = sub
		}
	}
}

// long takes a flag, and from the words after it its value. One that begins with a dash has to stand behind =.
func (l *Line) long(arg string, rest []string) ([]string, error) {
	name, value, has := strings.Cut(arg, "=")
	f, err := l.find(name)
	switch {
	case err != nil:
		return nil, err
	case has:
	case f.IsBool():
		value = "on"
	case len(rest) == 0:
		return nil, fmt.Errorf("%s: expected a value", name)
	case strings.HasPrefix(rest[0], "-") && rest[0] != "-":
		return nil, fmt.Errorf("%s: expected a value; write one that begins with - as %s=-...", name, name)
	default:
		value, rest = rest[0], rest[1:]
	}
	l.given = append(l.given, given{f, value})
	return rest, nil
}

// short takes flags of one letter each, which have no values.
func (l *Line) short(arg string) error {
	for _, letter := range arg[1:] {
		f, err := l.find("-" + string(letter))
		if err != nil {
			return err
		}
		l.given = append(l.given, given{f, "on"})
	}
	return nil
}

// all are the flags that the command has, and its program's.
func (c *Command) all() []*Flag {
	if c.program == nil {
		return c.Flags
	}
	return slices.Concat(c.program.all(), c.Flags)
}

func (l *Line) find(name string) (*Flag, error) {
	var close []string
	for _, f := range l.Command.all() {
		names := []string{"--" + f.Name}
		if f.Short != "" {
			names = append(names, "-"+f.Short)
		}
		if slices.Contains(names, name) {
			return f, nil
		}
		for _, n := range names {
			if strings.HasPrefix(n, name) || levenshtein.ComputeDistance(n, name) <= 2 {
				close = append(close, strconv.Quote(n))
			}
		}
	}
	switch len(close) {
	case 0:
		if strings.Trim(name, "-abcdefghijklmnopqrstuvwxyz") != "" {
			name = brief(name)
		}
		return nil, errors.New("unknown flag " + name)
	case 1:
		return nil, fmt.Errorf("unknown flag %s, did you mean %s?", name, close[0])
	}
	return nil, fmt.Errorf("unknown flag %s, did you mean one of %s?", name, strings.Join(close, ", "))
}

// Given are the flags of a command, or of the program, that stand in the command line, in its order.
func (l *Line) Given(c *Command) (flags []*Flag) {
	for _, g := range l.given {
		if slices.Contains(c.Flags, g.flag) {
			flags = append(flags, g.flag)
		}
	}
	return flags
}

// On says that the command line turns a flag on.
func (l *Line) On(name string) (on bool) {
	for _, g := range l.given {
		if !g.flag.arg && g.flag.Name == name {
			on = words[strings.ToLower(g.value)]
		}
	}
	return on
}

// Fill gives the program's fields and the command's their values: what the command line says, else the environment, else the default.
func (l *Line) Fill(lookup func(string) (string, bool)) error {
	given := map[*Flag]bool{}
	for _, g := range l.given {
		given[g.flag] = true
		if err := g.flag.set(g.value); err != nil {
			return err
		}
	}
	for _, f := range slices.Concat(l.Command.all(), l.Command.Args) {
		if given[f] {
			continue
		}
		if err := f.setElse(lookup); err != nil {
			return err
		}
	}
	return nil
}

// setElse gives what does not stand in the command line its value.
func (f *Flag) setElse(lookup func(string) (string, bool)) error {
	if value, ok := lookup(f.Env); ok && f.Env != "" {
		if err := f.set(value); err != nil {
			return fmt.Errorf("%w (from envar %s=%q)", err, f.Env, brief(value))
		}
		return nil
	}
	switch {
	case f.Default != "":
		return f.set(f.Default)
	case f.arg && !f.Optional && f.Enum != nil:
		return fmt.Errorf("expected %q: one of %s", f.shown(), f.choices())
	case f.arg && !f.Optional:
		return fmt.Errorf("expected %q", f.shown())
	}
	return nil
}

// set gives a flag a value, or one more.
func (f *Flag) set(value string) error {
	switch target := f.Target.(type) {
	case *string:
		if f.Enum != nil && !slices.Contains(f.Enum, value) {
			return fmt.Errorf("%s must be one of %s but got %q", f.shown(), f.choices(), brief(value))
		}
		*target = value
	case *[]string:
		names := split(value)
		if len(names) == 0 { // a guard that lets through what it names must not be opened by a variable that nobody set
			return fmt.Errorf("%s: expected a value; leave it out where there is none", f.shown())
		}
		*target = append(*target, names...)
	case *bool:
		on, ok := words[strings.ToLower(value)]
		if !ok {
			return fmt.Errorf("%s: give on or off, not %q", f.shown(), brief(value))
		}
		*target = on
	case *int:
		n, err := strconv.ParseInt(value, 0, strconv.IntSize)
		if err != nil {
			return fmt.Errorf("%s: expected a valid %d bit int but got %q", f.shown(), strconv.IntSize, brief(value))
		}
		*target = int(n)
	case *time.Duration:
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%s: expected a duration such as 1h30m or 20s but got %q", f.shown(), brief(value))
		}
		*target = d
	default:
		panic(fmt.Sprintf("the field of %s is a %T", f.shown(), f.Target))
	}
	return nil
}

// brief is a word that was not understood, as errors show it: no more than the start of a long one, which may be a key.
func brief(word string) string {
	if r := []rune(word); len(r) > 12 {
		return string(r[:4]) + "..."
	}
	return word
}

// words are what a flag that is on or off takes.
var words = map[string]bool{"on": true, "true": true, "yes": true, "1": true, "off": false, "false": false, "no": false, "0": false}

// Join is a list as it stands behind a flag, for a command line that is to give the same.
func Join(items []string) string {
	escaped := make([]string, len(items))
	for i, item := range items {
		escaped[i] = strings.ReplaceAll(item, ",", `\,`)
	}
	return strings.Join(escaped, ",")
}

// split takes a list apart at its commas, but for those with a backslash before them.
func split(list string) (items []string) {
	const comma = "\x00" // which no argument and no variable can hold
	for item := range strings.SplitSeq(strings.ReplaceAll(list, `\,`, comma), ",") {
		items = append(items, strings.ReplaceAll(item, comma, ","))
	}
	if last := len(items) - 1; items[last] == "" {
		items = items[:last]
	}
	return items
}
