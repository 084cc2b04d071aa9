// Package install adds a server to the configuration of an MCP client, and takes it out again.
//
//	edit, err := install.Here().Install("cursor", install.Server{Name: "heffl", Command: "/usr/local/bin/heffl-mcp"})
//	fmt.Print(edit.Diff())
//	backup, err := edit.Apply()
//
// An [Edit] is planned first and touches nothing until it is applied. All that is not the server's own entry stays as
// it is, byte for byte: other servers, comments, indentation, line ends. A file that cannot be read for certain is
// refused. A plan is made for a [System], which need not be the one that it is made on.
//
// Whose program it is that gets installed, and what the person is asked, is left to the caller.
package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is what a client is to start.
type Server struct {
	Name    string   // in the configuration: letters, digits, _ and -, at most 64
	Command string   // absolute path of the program
	Args    []string // its arguments
	Key     string   // written as HEFFL_API_KEY into the configuration, which only its user can read after that; empty: none
}

// keyVariable is the environment variable that takes Server.Key.
const keyVariable = "HEFFL_API_KEY"

var goodName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
})

func checkName(name string) error {
	if !goodName().MatchString(name) {
		return errors.New("the name must begin with a letter or digit and have letters, digits, _ and - only, at most 64")
	}
	return nil
}

func (s Server) check() error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	for _, text := range append([]string{s.Command, s.Key}, s.Args...) {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
			return errors.New("the command has a character that no configuration can hold")
		}
	}
	return nil
}

// A System is where clients keep their configurations.
type System struct {
	OS     string              // as runtime.GOOS
	Getenv func(string) string // of the user
	Root   string              // what paths are below; empty: the real root
	Now    func() time.Time    // names backups

	unsynced bool // tests need not outlive the machine
}

// Here is the system and the user that the program runs on.
func Here() System { return System{OS: runtime.GOOS, Getenv: os.Getenv, Now: time.Now} }

// ForeignError is an entry of the wanted name that is of another program, so that it is left alone.
type ForeignError struct {
	Path, Name string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s has a server %q that is not heffl-mcp; it is left as it is", e.Path, e.Name)
}

// An Edit is one file of a client as it is, and as it is to be.
type Edit struct {
	Path   string // as the user knows it
	Before []byte // nil: there is no such file
	After  []byte // nil: the file goes

	NewFolder bool // not even the folder of the file is there, so that the client may not be

	file     string      // where it really is, links followed
	mode     fs.FileMode // of a file that is there
	restores string      // a backup that After is, and that is not needed any more
	now      func() time.Time
	sync     func(*os.File) error
}

// Changes reports whether the edit would change anything.
func (e *Edit) Changes() bool {
	return (e.Before == nil) != (e.After == nil) || !bytes.Equal(e.Before, e.After)
}

// Install plans to add a server to a client's configuration. One of the same name that is heffl-mcp gets the new command and
// arguments, and keeps what else its entry has. Errors: a *ForeignError, or one that says why the file was refused.
func (s System) Install(client string, v Server) (*Edit, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	c, e, err := s.open(client)
	if err != nil {
		return nil, err
	}
	if e.After, err = c.format.add(e.Before, c, v); err != nil {
		return nil, refused(e.Path, v.Name, err)
	}
	if v.Key != "" {
		e.mode &^= 0o077
	}
	return e, nil
}

// Uninstall plans to take a server out of a client's configuration again: exactly as it was before Install where nothing else
// has changed since, and else the entry alone. It plans nothing where there is no such server. Errors: as for Install.
func (s System) Uninstall(client, name string) (*Edit, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	c, e, err := s.open(client)
	if err != nil {
		return nil, err
	}
	e.After = e.Before
	if e.Before == nil {
		return e, nil
	}
	v, err := c.format.find(e.Before, c, name)
	if err != nil {
		return nil, refused(e.Path, name, err)
	}
	if v == nil {
		return e, nil
	}
	for _, backup := range slices.Backward(backups(e.file)) {
		if from, err := readFile(backup); err == nil && c.made(e.Before, *v, from) {
			e.After, e.restores = from, backup
			return e, nil
		}
	}
	if c.made(e.Before, *v, nil) {
		e.After = nil
		return e, nil
	}
	if e.After, err = c.format.remove(e.Before, c, name); err != nil {
		return nil, refused(e.Path, name, err)
	}
	return e, nil
}

// made reports whether a configuration is what another one, or none, became when a server was added to it, and nothing since.
func (c *client) made(text []byte, v Server, from []byte) bool {
	if from != nil {
		if there, err := c.format.find(from, c, v.Name); err != nil || there != nil {
			return false
		}
	}
	now, err := c.format.add(from, c, v)
	return err == nil && bytes.Equal(now, text)
}

// Found is a server in a client's configuration that is heffl-mcp.
type Found struct {
	Client, Path string
	Server       Server // with its key, if the configuration has it
}

// Find lists the servers in a client's configuration that are heffl-mcp, by name; without a configuration there are none.
func (s System) Find(client string) ([]Found, error) {
	c, e, err := s.open(client)
	if err != nil || e.Before == nil {
		return nil, err
	}
	all, err := c.format.all(e.Before, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Path, err)
	}
	var found []Found
	for _, v := range all {
		found = append(found, Found{Client: c.name, Path: e.Path, Server: v})
	}
	return found, nil
}

// errForeign is a format's way to say that an entry is of another program.
var errForeign = errors.New("of another program")

func refused(path, name string, err error) error {
	if errors.Is(err, errForeign) {
		return &ForeignError{path, name}
	}
	return fmt.Errorf("%s was left as it is: %w", path, err)
}

// ours reports whether a command is this program, wherever it is and whatever is added to its name, such as a system or a version.
func ours(command string) bool {
	base := command[strings.LastIndexAny(command, `/\`)+1:]
	return strings.HasPrefix(strings.ToLower(base), "heffl-mcp")
}

// A format reads and edits a kind of configuration file. A nil text is a file that is not there.
type format interface {
	add(text []byte, c *client, v Server) ([]byte, error)
	remove(text []byte, c *client, name string) ([]byte, error)
	find(text []byte, c *client, name string) (*Server, error) // nil: not there; errForeign: of another program
	all(text []byte, c *client) ([]Server, error)              // those that are heffl-mcp
}

// open reads the configuration of a client.
func (s System) open(name string) (*client, *Edit, error) {
	i := slices.IndexFunc(clients, func(c *client) bool { return c.name == name })
	if i < 0 {
		return nil, nil, fmt.Errorf("there is no client %q; there are %s", name, strings.Join(Clients(), ", "))
	}
	c := clients[i]
	path, err := c.path(s)
	if err != nil {
		return nil, nil, err
	}
	e := &Edit{Path: path, now: s.Now, sync: (*os.File).Sync}
	if s.unsynced {
		e.sync = func(*os.File) error { return nil }
	}
	if e.file, err = followed(s.real(path)); err != nil {
		return nil, nil, fmt.Errorf("%s cannot be read: %w", path, bare(err))
	}
	info, err := os.Stat(e.file)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := os.Stat(filepath.Dir(e.file))
		e.NewFolder = errors.Is(err, fs.ErrNotExist)
		return c, e, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	if err == nil {
		e.mode = info.Mode().Perm()
		e.Before, err = readFile(e.file)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s cannot be read: %w", path, bare(err))
	}
	return c, e, nil
}

// real is where a path of the system really is.
func (s System) real(path string) string {
	if s.Root == "" {
		return path
	}
	if s.OS == "windows" {
		path = strings.ReplaceAll(strings.ReplaceAll(path, `\`, "/"), ":", "")
	}
	return filepath.Join(s.Root, filepath.FromSlash(path))
}

// bare is an error without the path that fs errors have in them, as the caller says it better.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
