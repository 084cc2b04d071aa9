// Heffl-mcp is a Model Context Protocol server for the Heffl CRM: it lets an agent that reads a
// message end with the right deal, once.
//
//	HEFFL_API_KEY=... heffl-mcp                                             MCP on standard input and output
//	heffl-mcp call create_deal examples/deals/full.json --sandbox    one call, without an account
//
// The commands stand here, their settings in settings.go; what they do is in the packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"heffl-mcp/cli"
	"heffl-mcp/install"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks to finish, a second one ends the program
	err := run(ctx, os.Args[1:], pollable(os.Stdin), os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "heffl-mcp: "+err.Error())
	}
	os.Exit(exitCode(err))
}

// pollable is a pipe in such a form that reading from it holds no thread while there is nothing to read, and can be given
// up: as a file of its own, since how the pipe itself is read belongs to all who share it. What cannot be had so
// (sockets, systems without /proc) stays as it is.
func pollable(in *os.File) *os.File {
	if info, err := in.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return in
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", in.Fd()), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return in
	}
	return again
}

// commands is the command line. The first words of each help are what --help teaches.
type commands struct {
	ShowHelp bool `name:"help" short:"h" help:"Show context-sensitive help."`

	settings

	Stdio     stdioCommand     `cmd:"" default:"withargs" help:"Serve MCP on standard input and output (the default)."`
	HTTP      httpCommand      `cmd:"" name:"http" help:"Serve MCP over HTTP: Streamable HTTP at /mcp, HTTP+SSE at /sse and /message; GET /healthz, /readyz and /metrics."`
	Call      callCommand      `cmd:"" help:"Call one tool through the whole stack and print its structured result as JSON."`
	Tools     toolsCommand     `cmd:"" help:"Print the tools as they are advertised, or one with its schemas, as JSON."`
	Sandbox   sandboxCommand   `cmd:"" help:"Serve the stand-in for the Heffl API alone."`
	Journal   journalCommand   `cmd:"" help:"List what this program has made or was asked to make, and what came of it, newest first."`
	Install   installCommand   `cmd:"" help:"Add this program to a client's configuration; flags for the server go there too."`
	Uninstall uninstallCommand `cmd:"" help:"Take it out of a client's configuration again."`
	Login     loginCommand     `cmd:"" help:"Keep an API key for the servers that clients start: in the operating system's keyring, else in a file of yours alone."`
	Logout    logoutCommand    `cmd:"" help:"Forget that key."`
	Doctor    doctorCommand    `cmd:"" help:"Check the key, the way to Heffl, the journal and the clients, and say what to do."`
	Version   versionCommand   `cmd:"" help:"Print the version."`

	ShowVersion bool `name:"version" help:"Print the version."`
}

const about = `A Model Context Protocol server for the Heffl CRM.

Try it without an account:
  heffl-mcp call create_deal examples/deals/minimal.json --sandbox
Have a client start it (claude-desktop, claude-code, cursor, vscode, windsurf, codex, gemini-cli):
  heffl-mcp login
  heffl-mcp install claude-desktop
Serve it to clients on this machine over HTTP:
  HEFFL_API_KEY=... heffl-mcp http
Find out what is wrong:
  heffl-mcp doctor

The API key is what login keeps, or is read from HEFFL_API_KEY or from the file that --api-key-file names; never from a flag: other users see flags in process lists.`

// streams are what a command reads and writes. Under stdio, out belongs to the protocol.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// A runner is what a command does.
type runner interface {
	Run(ctx context.Context, s *settings, streams streams) error
}

// run is the program, but for the process around it.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) error {
	unfilled := unexpanded(args, os.Environ())
	if unfilled != nil && !slices.Contains(args, "doctor") { // which says what else is wrong
		return unfilled
	}
	forgetEmpty(os.Environ())
	if len(args) > 0 && args[0] == "help" { // as others have it
		args = append(args[1:], "--help")
	}
	var c commands
	program := c.line()
	line, err := program.Parse(args)
	if err != nil {
		return misread(err)
	}
	switch {
	case line.On("help") && line.Named:
		return line.Command.PrintHelp(out)
	case line.On("help"):
		return program.PrintHelp(out)
	case line.On("version"):
		_, err := fmt.Fprintln(out, version())
		return err
	}
	if err := line.Fill(os.LookupEnv); err != nil {
		return misread(err)
	}
	c.Install.given, c.Doctor.unfilled = line.Given(program), unfilled
	return line.Command.Target.(runner).Run(ctx, &c.settings, streams{in, out, errOut})
}

// line is the command line that fills c.
func (c *commands) line() *cli.Command {
	return cli.New("heffl-mcp", about, c, map[string]string{"clients": strings.Join(install.Clients(), ",")})
}

func misread(err error) error {
	return usage("%w; heffl-mcp --help lists commands and settings", err)
}

// A usageError is one that the person who started the program mends: exit code 2.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}
