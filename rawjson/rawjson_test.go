package rawjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"heffl-mcp/rawjson"

	"github.com/google/go-cmp/cmp"
)

func ExampleIn() {
	for o := rawjson.In([]byte(`{"price": 1200.50, "tags": ["vip", "a,b"]}`), 0); o.Next(); {
		fmt.Printf("%s: %s\n", o.Name, o.Value())
	}
	// Output:
	// price: 1200.50
	// tags: ["vip", "a,b"]
}

func ExampleItems() {
	for item := range rawjson.Items([]byte(`[1.0, {"a": []}, "]"]`)) {
		fmt.Printf("%s\n", item)
	}
	// Output:
	// 1.0
	// {"a": []}
	// "]"
}

type member struct{ Name, Value string }

func membersOf(text []byte) (found []member) {
	for o := rawjson.In(text, 0); o.Next(); {
		found = append(found, member{string(o.Name), string(o.Value())})
	}
	return found
}

func itemsOf(text []byte) (found []string) {
	for item := range rawjson.Items(text) {
		found = append(found, string(item))
	}
	return found
}

// FuzzRead holds that members and items are those that encoding/json finds, and that what is no JSON does no harm.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, ` { "a" : 1 , "b" : [ { } , "}" ] , "a" : null } `, `{"\u0061\"":"\\"}`, `{"":{"":""}}`, `["\"]",[1,[2]],{"a":"]"},-1.5e3,true]`, `"{"`, `1`, `,"a":1`, `{"a`, `{"a\`, `{"a"`, `{"a":`, `{"a":[`, `[1`, `[,`, `{,"a":1}`, "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		members, items := membersOf(text), itemsOf(text)
		if !json.Valid(text) {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		open, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var wantMembers []member
		var wantItems []string
		for (open == json.Delim('{') || open == json.Delim('[')) && dec.More() {
			var name string
			if open == json.Delim('{') {
				key, err := dec.Token()
				if err != nil {
					t.Fatal(err)
				}
				name, _ = key.(string)
			}
			var value json.RawMessage
			if err := dec.Decode(&value); err != nil {
				t.Fatal(err)
			}
			if open == json.Delim('{') {
				wantMembers = append(wantMembers, member{name, string(value)})
			} else {
				wantItems = append(wantItems, string(value))
			}
		}
		for i := range members {
			if name, err := json.Marshal(members[i].Name); err == nil { // invalid UTF-8 stays as it is
				_ = json.Unmarshal(name, &members[i].Name)
			}
		}
		if diff := cmp.Diff(wantMembers, members); diff != "" {
			t.Errorf("members of %q (-encoding/json +rawjson):\n%s", text, diff)
		}
		if diff := cmp.Diff(wantItems, items); diff != "" {
			t.Errorf("items of %q (-encoding/json +rawjson):\n%s", text, diff)
		}
	})
}
