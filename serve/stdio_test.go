package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"heffl-mcp/serve"
)

func TestStdioAnswersAllThatWasRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ calls, maxCalls int }{{1, 0}, {20, 0}, {500, 0}, {500, 1}, {500, 7}} {
		t.Run(fmt.Sprintf("%d calls, %d at once", test.calls, test.maxCalls), func(t *testing.T) {
			t.Parallel()
			mcp := newToy().MCPServer
			var input, want []string
			for i := range test.calls {
				input = append(input, add(strconv.Itoa(i), i, 1))
				want = append(want, fmt.Sprintf("%d: %d", i, i+1))
			}
			slices.Sort(want)
			for range 20 { // without a newline after the last
				got := oneShot(t, &serve.Stdio{MCP: mcp, MaxCalls: test.maxCalls}, strings.Join(input, "\n"))
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("answers (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestStdioAnswersInitializeFirst(t *testing.T) {
	t.Parallel()
	input := strings.Join([]string{initialize, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, add(`1`, 1, 2), ping(`2`)}, "\n")
	for range 50 {
		got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer}, input)
		if len(got) != 3 || got[0] != `"init": result` {
			t.Fatalf("answers = %q, want that to initialize first of 3", got)
		}
	}
}

func TestStdioKeepsIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		`0`, `-7`, `9007199254740993`, `123456789012345678901234567890`, `1.0`, `1e3`, `""`, `"a"`, `"\u00e9<&>"`, `"9007199254740993"`,
	} {
		want := []string{id + ": 3"}
		if got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer}, add(id, 1, 2)); !slices.Equal(got, want) {
			t.Errorf("call with id %s = %q, want %q", id, got, want)
		}
		want = []string{id + ": error -32601 Method nope not found"}
		if got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer}, `{"id":`+id+`,"method":"nope","jsonrpc":"2.0"}`); !slices.Equal(got, want) {
			t.Errorf("unknown method with id %s = %q, want %q", id, got, want)
		}
	}
}

// refused are messages that no transport takes, and the errors that they get.
var refused = []struct{ name, message, want string }{
	{"no JSON", `hello`, "null: error -32700 not valid JSON: invalid character 'h' looking for beginning of value"},
	{"cut off", `{"jsonrpc":"2.0","id":1,"method":"ping"`, "null: error -32700 not valid JSON: unexpected end of JSON input"},
	{"a batch", `[` + ping(`1`) + `,` + ping(`2`) + `]`, "null: error -32600 batches are not supported: send each message on its own"},
	{"half a batch", `[{}`, "null: error -32700 not valid JSON: unexpected end of JSON input"},
	{"a number", `5`, "null: error -32600 not a JSON-RPC message: number in place of an object"},
	{"method a number", `{"jsonrpc":"2.0","id":1,"method":5}`, `1: error -32600 not a JSON-RPC message: number in place of a string in "method"`},
	{"null", `null`, `null: error -32600 "jsonrpc" must be "2.0"`},
	{"no version", `{"id":1,"method":"ping"}`, `1: error -32600 "jsonrpc" must be "2.0"`},
	{"another version", `{"jsonrpc":"1.0","method":"notifications/initialized"}`, `null: error -32600 "jsonrpc" must be "2.0"`},
	{"no method", `{"jsonrpc":"2.0","id":1}`, `1: error -32600 no "method"`},
	{"null id", ping(`null`), `null: error -32600 "id" must be a string or a number`},
	{"object id", ping(`{}`), `null: error -32600 "id" must be a string or a number`},
	{"boolean id", ping(`true`), `null: error -32600 "id" must be a string or a number`},
	{"infinite id", ping(`1e999`), `null: error -32600 "id" must be a string or a number`},
	{"request and response", `{"jsonrpc":"2.0","id":1,"method":"ping","result":null}`, "1: error -32600 a message is a request or a response, not both"},
}

func TestStdioRefusesAndGoesOn(t *testing.T) {
	t.Parallel()
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := []string{test.want, "9: result"}
			if got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer}, test.message+"\n"+ping(`9`)); !slices.Equal(got, want) {
				t.Errorf("answers = %q, want %q", got, want)
			}
		})
	}
}

func TestStdioIgnores(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "  \t", "\r",
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","id":null,"method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","method":"notifications/nope","params":[1]}`,
		`{"jsonrpc":"2.0","id":7,"result":{}}`,
		`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"x"}}`,
		cancelNote(`12`), cancelNote(`{}`), `{"jsonrpc":"2.0","method":"notifications/cancelled"}`,
	} {
		want := []string{"9: result"}
		if got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer}, line+"\n"+ping(`9`)+"\r\n"); !slices.Equal(got, want) {
			t.Errorf("answers after %q = %q, want %q", line, got, want)
		}
	}
}

func TestStdioTakesAByteOrderMark(t *testing.T) {
	t.Parallel()
	want := []string{"1: result"}
	if got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer}, "\ufeff"+ping(`1`)); !slices.Equal(got, want) {
		t.Errorf("answers = %q, want %q", got, want)
	}
}

func TestStdioSkipsLongLines(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	fill := func(format string, size int) string {
		return fmt.Sprintf(format, strings.Repeat("x", size-len(format)+len("%s")))
	}
	early := `{"jsonrpc":"2.0","id":5,"method":"ping","params":{"x":"%s"}}`
	late := `{"method":"ping","params":{"x":"%s","id":1},"jsonrpc":"2.0", "id" : "six" }`
	hidden := `{"method":"ping","params":{"x":"%s"},"id":5,"jsonrpc":"2.0","z":{"id":7}}`
	tooLong := ": error -32600 the message is longer than 100000 bytes; it was not read"
	for _, test := range []struct{ name, line, want string }{
		{"just right", fill(early, limit), "5: result"},
		{"id in front", fill(early, limit+1), "5" + tooLong},
		{"id at the end", fill(late, limit+1), `"six"` + tooLong},
		{"much too long", fill(late, 50*limit), `"six"` + tooLong},
		{"id in the middle", fill(hidden, 2*limit), "null" + tooLong},
		{"a huge id", ping(`"` + strings.Repeat("x", 2*limit) + `"`), "null" + tooLong},
		{"what is no id", fill(`{"method":"ping","params":{"x":"%s"},"id":07}`, limit+1), "null" + tooLong},
		{"nor is this", fill(`{"method":"ping","params":{"x":"%s"},"id":"\q"}`, limit+1), "null" + tooLong},
		{"no JSON", strings.Repeat(" ", 2*limit), "null" + tooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, end := range []string{"\n", "\r\n"} {
				want := []string{test.want, "9: result", test.want}
				got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer, MaxLine: limit}, test.line+end+ping(`9`)+end+test.line)
				if !slices.Equal(got, want) {
					t.Errorf("answers = %q, want %q", got, want)
				}
			}
		})
	}
}

func TestStdioPanicsStayInside(t *testing.T) {
	t.Parallel()
	const neutral = "1: error -32603 internal error; the server's log has the details"
	for _, tool := range []string{"panics", "unencodable", "explodes"} {
		var log logBuffer
		want := []string{neutral, "2: result"}
		got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer, Log: log.logger()}, call(`1`, tool, `{}`)+"\n"+ping(`2`))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: answers = %q, want %q", tool, got, want)
		}
		if text := log.String(); !strings.Contains(text, "method=tools/call") || tool == "panics" && !strings.Contains(text, "toy_test.go") {
			t.Errorf("%s: log = %q, want the method, and the stack of a panic", tool, text)
		}
	}
	toy := newToy()
	toy.AddNotificationHandler("notifications/boom", func(context.Context, mcp.JSONRPCNotification) { panic("secret-4711") })
	want := []string{"2: result"}
	if got := oneShot(t, &serve.Stdio{MCP: toy.MCPServer}, `{"jsonrpc":"2.0","method":"notifications/boom"}`+"\n"+ping(`2`)); !slices.Equal(got, want) {
		t.Errorf("answers after a panic in a notification = %q, want %q", got, want)
	}
}

func TestStdioWritesNotificationsBeforeTheResponse(t *testing.T) {
	t.Parallel()
	want := []string{`"init": result`}
	for i := range 10 {
		want = append(want, fmt.Sprint("notifications/progress ", i+1))
	}
	want = append(want, "1: done")
	for range 100 {
		got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer}, initialize+"\n"+call(`1`, "progress", `{"steps":10}`))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("messages (-want +got):\n%s", diff)
		}
	}
}

// What a call has said leaves before its answer also while other calls are answered, by whichever of them.
func TestStdioWritesNotificationsBeforeTheResponseAmongOthers(t *testing.T) {
	t.Parallel()
	const calls, steps = 20, 8 // fewer notifications than the queue holds: mcp-go drops what does not fit
	lines := []string{initialize}
	for i := range calls {
		lines = append(lines,
			raw(strconv.Itoa(i), fmt.Sprintf(`{"name":"progress","arguments":{"steps":%d},"_meta":{"progressToken":%d}}`, steps, i)),
			add(strconv.Itoa(calls+i), i, 1))
	}
	for range 50 {
		var out bytes.Buffer
		if err := (&serve.Stdio{MCP: newToy().MCPServer}).Serve(t.Context(), strings.NewReader(strings.Join(lines, "\n")), &out); err != nil {
			t.Fatal(err)
		}
		said, answers := make(map[int]int), 0
		for line := range strings.Lines(out.String()) {
			var m struct {
				ID     json.RawMessage
				Method string
				Params struct{ ProgressToken, Progress int }
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("the server wrote %q: %v", line, err)
			}
			if m.Method != "" {
				if said[m.Params.ProgressToken]++; said[m.Params.ProgressToken] != m.Params.Progress {
					t.Fatalf("progress %d of call %d came as number %d", m.Params.Progress, m.Params.ProgressToken, said[m.Params.ProgressToken])
				}
				continue
			}
			answers++
			if id, err := strconv.Atoi(string(m.ID)); err == nil && id < calls && said[id] != steps {
				t.Fatalf("the answer to call %d came after %d notifications, want %d", id, said[id], steps)
			}
		}
		if want := 2*calls + 1; answers != want {
			t.Fatalf("%d answers, want %d", answers, want)
		}
	}
}

func TestStdioDropsANotificationThatIsNoJSON(t *testing.T) {
	t.Parallel()
	var log logBuffer
	got := oneShot(t, &serve.Stdio{MCP: newToy().MCPServer, Log: log.logger()}, initialize+"\n"+call(`1`, "progress", `{"bad":true}`))
	if want := []string{`"init": result`, "1: done"}; !slices.Equal(got, want) || !strings.Contains(log.String(), "cannot encode a notification") {
		t.Errorf("messages = %q, log %q; want %q and a word in the log", got, log.String(), want)
	}
}

func TestStdioSession(t *testing.T) {
	t.Parallel()
	c := converse(t, t.Context(), &serve.Stdio{MCP: newToy().MCPServer})
	c.send(initialize, call(`1`, "whoami", `{}`))
	c.want(`"init": result`, "1: raw 2024-11-05 false")
	c.send(call(`2`, "log", `{}`))
	c.want("2: done") // info is below the level that nobody asked for
	c.send(`{"jsonrpc":"2.0","id":3,"method":"logging/setLevel","params":{"level":"info"}}`, call(`4`, "log", `{}`))
	c.want("3: result", "notifications/message", "4: done")
}

func TestStdioCancel(t *testing.T) {
	t.Parallel()
	toy := newToy()
	c := converse(t, t.Context(), &serve.Stdio{MCP: toy.MCPServer, MaxCalls: 2})
	c.send(call(`1`, "slow", `{"tag":"one"}`))
	toy.wantStarted(t, "one")
	c.send(call(`"1"`, "slow", `{"tag":"two"}`))
	toy.wantStarted(t, "two")
	c.send(call(`3`, "slow", `{"tag":"three"}`), call(`4`, "slow", `{"tag":"four"}`)) // these wait
	c.send(cancelNote(`3`), cancelNote(`1`))
	toy.wantStarted(t, "four") // three is never begun
	if got := receive(t, toy.stopped); got != "one" {
		t.Errorf("call %q was cancelled, want one", got)
	}
	c.send(ping(`5`))
	c.want("5: result") // and no word of 1
	close(toy.release)
	c.in.Close()
	got, err := c.rest()
	slices.Sort(got)
	if want := []string{`"1": released two`, "4: released four"}; !slices.Equal(got, want) || err != nil {
		t.Errorf("rest = %q, %v, want %q", got, err, want)
	}
}

func TestStdioQuickMethodsDoNotWait(t *testing.T) {
	t.Parallel()
	toy := newToy()
	c := converse(t, t.Context(), &serve.Stdio{MCP: toy.MCPServer, MaxCalls: 1})
	c.send(call(`1`, "slow", `{}`), call(`2`, "slow", `{}`), ping(`3`), `{"jsonrpc":"2.0","id":4,"method":"tools/list"}`)
	c.want("3: result", "4: result")
	close(toy.release)
	c.want("1: released ", "2: released ")
}

func TestStdioStopsReadingWhenFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		c := converse(t, t.Context(), &serve.Stdio{MCP: toy.MCPServer, MaxCalls: 2, MaxLine: 200_000})
		const size, calls = 100_000, 10
		taken := 0
		go func() {
			for i := range calls {
				c.send(call(strconv.Itoa(i), "slow", `{"tag":"`+strings.Repeat("x", size)+`"}`))
				taken++
			}
			c.in.Close()
		}()
		synctest.Wait()
		// Two run, one waits (a second would be more than MaxLine), one is read and not yet let in. The
		// fifth may be in the read buffer in part.
		if taken > 4 || len(toy.started) != 2 {
			t.Errorf("%d calls taken, %d begun; want at most 4, and 2", taken, len(toy.started))
		}
		close(toy.release)
		if got, err := c.rest(); len(got) != calls || err != nil {
			t.Errorf("got %d answers, %v, want %d", len(got), err, calls)
		}
	})
}

func TestStdioDrainsWhenToldToStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		ctx, stop := context.WithCancel(t.Context())
		c := converse(t, ctx, &serve.Stdio{MCP: toy.MCPServer, MaxCalls: 1})
		c.send(call(`1`, "slow", `{}`), call(`2`, "slow", `{}`))
		synctest.Wait()
		stop() // while Read blocks
		time.Sleep(29 * time.Second)
		close(toy.release)
		got, err := c.rest()
		if want := []string{"1: released ", "2: released "}; !slices.Equal(got, want) || err != nil {
			t.Errorf("rest = %q, %v, want %q", got, err, want)
		}
	})
}

func TestStdioStopInterruptsRead(t *testing.T) {
	t.Parallel()
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer w.Close()
	toy := newToy()
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan error)
	var out bytes.Buffer
	go func() { end <- (&serve.Stdio{MCP: toy.MCPServer}).Serve(ctx, in, &out) }()
	fmt.Fprintln(w, call(`1`, "slow", `{}`))
	toy.wantStarted(t, "")
	stop()
	close(toy.release)
	if err := <-end; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if got, want := decode(t, out.Bytes()).String(), "1: released "; got != want {
		t.Errorf("answer = %q, want %q", got, want)
	}
}

func TestStdioDrainHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		begin := time.Now()
		c := converse(t, t.Context(), &serve.Stdio{MCP: toy.MCPServer, Drain: 10 * time.Second, MaxCalls: 2})
		c.send(call(`1`, "stubborn", `{}`))
		toy.wantStarted(t, "")
		c.send(call(`2`, "slow", `{"tag":"two"}`), call(`3`, "slow", `{}`))
		c.in.Close()
		got, err := c.rest()
		want := []string{
			"2: tool error stopped two",
			"3: error -32603 the server is stopping; this call was not begun",
			"1: error -32603 the server is stopping; the outcome of this call is not known",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if want := "stdio: gave up 1 calls that did not stop"; err == nil || err.Error() != want {
			t.Errorf("Serve = %v, want %q", err, want)
		}
		if took := time.Since(begin); took != 12*time.Second {
			t.Errorf("Serve took %v, want 12s", took)
		}
		close(toy.release)
	})
}

func TestStdioOutputFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		c := converse(t, t.Context(), &serve.Stdio{MCP: toy.MCPServer, MaxCalls: 1})
		c.send(call(`1`, "slow", `{"tag":"one"}`), call(`2`, "slow", `{"tag":"two"}`))
		synctest.Wait()
		c.raw.CloseWithError(errors.New("broken pipe"))
		c.send(ping(`3`))
		err := <-c.end
		if want := "stdio: cannot write: broken pipe"; err == nil || err.Error() != want {
			t.Errorf("Serve = %v, want %q", err, want)
		}
		if got := receive(t, toy.stopped); got != "one" || len(toy.started) != 1 {
			t.Errorf("%q was cancelled, %d begun; want one, and 1", got, len(toy.started))
		}
	})
}

func TestStdioClientDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := converse(t, t.Context(), &serve.Stdio{MCP: newToy().MCPServer})
		go func() {
			for i := range 300 {
				c.send(add(strconv.Itoa(i), 1, 1))
			}
			c.in.Close()
		}()
		err := <-c.end
		if want := "the client does not read"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Serve = %v, want %q", err, want)
		}
	})
}

// A client that does not read yet holds up no call, and cannot be told from one that never will before the end.
func TestStdioClientReadsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		close(toy.release)
		c := converse(t, t.Context(), &serve.Stdio{MCP: toy.MCPServer, MaxCalls: 1})
		want := []string{`"init": result`}
		c.send(initialize)
		for i := range 20 {
			c.send(call(strconv.Itoa(i), "slow", `{"tag":"x"}`))
			want = append(want, fmt.Sprint(i, ": released x"))
			synctest.Wait() // it is done, but for its answer
		}
		if len(toy.started) != 20 {
			t.Errorf("%d calls begun, want 20", len(toy.started))
		}
		c.send(call(`20`, "progress", `{"steps":2}`))
		c.want(want...)
		c.want("notifications/progress 1", "notifications/progress 2", "20: done")
		toy.DeleteTools("progress") // of which no call tells
		c.want("notifications/tools/list_changed")

		c.send(add(`21`, 1, 2))
		synctest.Wait()
		begin := time.Now()
		c.in.Close()
		err := <-c.end
		if want := "stdio: the client does not read what is written to it"; err == nil || err.Error() != want {
			t.Errorf("Serve = %v, want %q", err, want)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("Serve took %v to end, want 2s", took)
		}
	})
}

func TestStdioInputFails(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	in := io.MultiReader(strings.NewReader(add(`1`, 1, 2)+"\n"+`{"half`), errReader{})
	err := (&serve.Stdio{MCP: newToy().MCPServer}).Serve(t.Context(), in, &out)
	if want := "stdio: cannot read: unplugged"; err == nil || err.Error() != want {
		t.Errorf("Serve = %v, want %q", err, want)
	}
	if got, want := decode(t, out.Bytes()).String(), "1: 3"; got != want {
		t.Errorf("answer = %q, want %q", got, want)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("unplugged") }

func TestStdioListen(t *testing.T) {
	t.Parallel()
	toy := newToy()
	c := converse(t, t.Context(), &serve.Stdio{MCP: toy.MCPServer})
	const big = `9007199254740993`
	c.send(listen(big, toolsChanged))
	c.want("notifications/subscriptions/acknowledged for " + big)
	c.send(listen(`"none"`, `{}`))
	c.want(`notifications/subscriptions/acknowledged for "none"`, `"none": complete, end of "none"`)
	c.send(listen(`"two"`, toolsChanged))
	c.want(`notifications/subscriptions/acknowledged for "two"`)

	toy.DeleteTools("add")
	got := []string{c.next(), c.next()}
	slices.Sort(got)
	if want := []string{`notifications/tools/list_changed for "two"`, "notifications/tools/list_changed for " + big}; !slices.Equal(got, want) {
		t.Errorf("notifications = %q, want %q", got, want)
	}

	c.send(cancelNote(`"two"`), ping(`3`))
	c.want("3: result") // the end of a cancelled subscription is silent
	c.send(call(`4`, "slow", `{}`))
	toy.wantStarted(t, "")
	c.in.Close() // the open subscription ends after the last call
	close(toy.release)
	got, err := c.rest()
	want := []string{"4: released ", "notifications/cancelled " + big, big + ": complete, end of " + big}
	if !slices.Equal(got, want) || err != nil {
		t.Errorf("rest = %q, %v, want %q", got, err, want)
	}
}

func TestStdioListensHaveALimit(t *testing.T) {
	t.Parallel()
	c := converse(t, t.Context(), &serve.Stdio{MCP: newToy().MCPServer})
	for i := range 32 {
		c.send(listen(strconv.Itoa(i), toolsChanged))
		c.want(fmt.Sprint("notifications/subscriptions/acknowledged for ", i))
	}
	c.send(listen(`32`, toolsChanged))
	c.want("32: error -32600 32 subscriptions are open already; cancel one")
}

// Several servers in one process, on one MCPServer: a broadcast reaches the clients that opened with
// initialize and no other.
func TestStdioClientsShareNothing(t *testing.T) {
	t.Parallel()
	toy := newToy()
	s := &serve.Stdio{MCP: toy.MCPServer}
	legacy, modern, silent := converse(t, t.Context(), s), converse(t, t.Context(), s), converse(t, t.Context(), s)
	legacy.send(initialize)
	legacy.want(`"init": result`)
	modern.send(strings.Replace(listen(`1`, `{}`), "subscriptions/listen", "tools/list", 1))
	modern.want("1: result")
	silent.send(ping(`1`))
	silent.want("1: result")

	for _, c := range []*conversation{legacy, modern, silent} { // the same id on each
		c.send(call(`1`, "slow", `{"tag":"x"}`))
		toy.wantStarted(t, "x")
	}
	legacy.send(ping(`2`)) // initialize has had all its effects when the next line is answered
	legacy.want("2: result")
	toy.DeleteTools("add")
	legacy.send(cancelNote(`1`))
	legacy.want("notifications/tools/list_changed")
	receive(t, toy.stopped)
	close(toy.release)
	for name, test := range map[string]struct {
		c    *conversation
		want []string
	}{"legacy": {legacy, nil}, "modern": {modern, []string{"1: released x"}}, "silent": {silent, []string{"1: released x"}}} {
		test.c.in.Close()
		if got, err := test.c.rest(); !slices.Equal(got, test.want) || err != nil {
			t.Errorf("%s client: rest = %q, %v, want %q", name, got, err, test.want)
		}
	}
}

// Whatever comes in, the loop goes on, and each line gets exactly one answer: a request under its own id, a
// notification, a response or a blank line none.
func FuzzStdio(f *testing.F) {
	for _, test := range refused {
		f.Add([]byte(test.message + "\n" + add(`"x"`, 1, 2)))
	}
	f.Add([]byte(initialize + "\r\n\n" + add(`1`, 1, 2) + "\n" + ping(`1`)))
	f.Add([]byte(call(`1`, "progress", `{"steps":3}`) + "\n" + call(`2`, "panics", `{}`) + "\n" + strings.Repeat("x", 3000)))
	f.Add([]byte(listen(`1`, toolsChanged) + "\n" + cancelNote(`1`)))
	toy := newToy()
	toy.DeleteTools("slow", "stubborn")
	f.Fuzz(func(t *testing.T, input []byte) {
		const limit = 2000
		var want []string
		for line := range bytes.Lines(input) {
			line = bytes.TrimRight(line, "\r\n")
			if len(line) > limit {
				return // TestStdioSkipsLongLines
			}
			line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
			if bytes.Contains(bytes.ToLower(line), []byte("cancel")) || bytes.Contains(line, []byte(`\u`)) {
				return // may silence a request
			}
			if id, ok := expectedID(line); ok {
				want = append(want, id)
			}
		}
		var out bytes.Buffer
		if err := (&serve.Stdio{MCP: toy.MCPServer, MaxLine: limit}).Serve(t.Context(), bytes.NewReader(input), &out); err != nil {
			t.Fatalf("Serve(%q) = %v", input, err)
		}
		var got []string
		for line := range bytes.Lines(out.Bytes()) {
			if m := decode(t, line); m.Method == "" {
				got = append(got, string(m.ID))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ids of the answers to %q (-want +got):\n%s", input, diff)
		}
	})
}

// expectedID is the id that the answer to a line must have, and whether there must be one. It reads JSON-RPC
// by the letter, member by member.
func expectedID(line []byte) (string, bool) {
	if len(line) == 0 {
		return "", false
	}
	var m struct {
		JSONRPC, ID, Method, Result, Error json.RawMessage
	}
	if json.Unmarshal(line, &m) != nil {
		return "null", true
	}
	id := "null"
	var compact bytes.Buffer
	var number float64
	switch {
	case len(m.ID) > 0 && m.ID[0] == '"':
		_ = json.Compact(&compact, m.ID)
		id = compact.String()
	case string(m.ID) != "null" && json.Unmarshal(m.ID, &number) == nil && !math.IsInf(number, 0):
		id = string(m.ID)
	}
	var version, method string
	wellFormed := (m.JSONRPC == nil || json.Unmarshal(m.JSONRPC, &version) == nil) && (m.Method == nil || json.Unmarshal(m.Method, &method) == nil)
	answer := m.Result != nil || m.Error != nil
	switch {
	case !wellFormed, version != "2.0", answer && method != "":
		return id, true
	case answer:
		return "", false
	case m.ID == nil || string(m.ID) == "null" && strings.HasPrefix(method, "notifications/"):
		return "null", method == ""
	}
	return id, true
}

func benchmarkStdio(b *testing.B, start func(in io.Reader, out io.Writer) error, inFlight int) {
	inR, inW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- start(inR, outW) }()
	answers := make(chan struct{}, inFlight)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := outR.Read(buf)
			for range bytes.Count(buf[:n], []byte("\n")) {
				answers <- struct{}{}
			}
			if err != nil {
				return
			}
		}
	}()
	line := []byte(add(`1`, 1, 2) + "\n")
	send := func() {
		if _, err := inW.Write(line); err != nil {
			b.Error(err)
		}
	}
	b.ReportAllocs()
	for range inFlight - 1 {
		send()
	}
	for b.Loop() {
		send()
		<-answers
	}
	for range inFlight - 1 {
		<-answers
	}
	inW.Close()
	if err := <-end; err != nil {
		b.Error(err)
	}
	outW.Close()
}

func BenchmarkStdio(b *testing.B) {
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("ours-%d", inFlight), func(b *testing.B) {
			benchmarkStdio(b, func(in io.Reader, out io.Writer) error {
				return (&serve.Stdio{MCP: newToy().MCPServer}).Serve(b.Context(), in, out)
			}, inFlight)
		})
		b.Run(fmt.Sprintf("mcp-go-%d", inFlight), func(b *testing.B) {
			benchmarkStdio(b, func(in io.Reader, out io.Writer) error {
				return server.NewStdioServer(newToy().MCPServer).Listen(b.Context(), in, out)
			}, inFlight)
		})
	}
}

// Where places are scarce the place of a call is waited for, and at the end of the input its end.
func TestAwaitedWhereScarce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testAwaitedWhereScarce)
}

func testAwaitedWhereScarce(t *testing.T) {
	toy := newToy()
	awaits := make(chan bool, 1)
	toy.AddTool(mcp.NewTool("awaited"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		awaits <- serve.Awaited(ctx)
		return mcp.NewToolResultText("done"), nil
	})
	c := converse(t, t.Context(), &serve.Stdio{MCP: toy.MCPServer, MaxCalls: 8})
	for taken := range 4 {
		c.send(call("1", "awaited", "{}"))
		if got, want := receive(t, awaits), taken+1 > 2; got != want {
			t.Errorf("with %d of 8 places taken a call is awaited: %t, want %t", taken+1, got, want)
		}
		c.next()
		c.send(call("2", "slow", `{"tag":"x"}`))
		toy.wantStarted(t, "x")
	}
	for range 4 {
		c.send(call("3", "slow", `{"tag":"x"}`))
		toy.wantStarted(t, "x")
	}
	c.send(call("4", "awaited", "{}")) // waits for a place
	c.in.Close()
	synctest.Wait()
	close(toy.release)
	if !receive(t, awaits) {
		t.Error("a call that begins after the end of the input is not awaited")
	}
	if got, err := c.rest(); len(got) != 9 || err != nil {
		t.Errorf("the rest is %q, %v; want 9 answers", got, err)
	}
}
