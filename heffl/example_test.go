package heffl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"heffl-mcp/heffl"
)

// server stands in for Heffl: it says the same to every request.
func server(status int, body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit-Reset", "23")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
}

func ExampleClient_CreateDeal() {
	api := server(http.StatusOK, `{"id":"dl_1","number":"D-1","title":"Northwind rollout","price":12345678901234.56}`)
	defer api.Close()

	client := &heffl.Client{BaseURL: api.URL, Key: "heffl_user_example"} // without BaseURL: Heffl itself
	resp, err := client.CreateDeal(context.Background(), json.RawMessage(`{
		"title": "Northwind rollout", "clientId": "clt_1", "pipelineId": "dpl_1", "price": 12345678901234.56
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.ID())
	fmt.Printf("%s\n", resp.Body)
	// Output:
	// dl_1
	// {"id":"dl_1","number":"D-1","title":"Northwind rollout","price":12345678901234.56}
}

func ExampleClient_Check() {
	client := &heffl.Client{BaseURL: "http://api.heffl.com/api/v2", Key: "heffl_user_example"}
	fmt.Println(client.Check())
	// Output: the base URL must begin with https:// (http:// is for loopback addresses only), or the API key would travel unencrypted
}

func ExampleError() {
	api := server(http.StatusBadRequest, `{"error":{"code":"VALIDATION_ERROR","message":"Invalid request",
		"details":{"issues":[{"field":"clientId","message":"Required"}]}}}`)
	defer api.Close()

	client := &heffl.Client{BaseURL: api.URL}
	_, err := client.CreateDeal(context.Background(), json.RawMessage(`{"title":"Northwind rollout"}`))
	if refused, ok := errors.AsType[*heffl.Error](err); ok {
		fmt.Println(refused.Status, refused.Code)
		for _, issue := range refused.Issues {
			fmt.Println(issue.Field, issue.Message)
		}
	}
	// Output:
	// 400 VALIDATION_ERROR
	// clientId Required
}

// Whether to send a request again depends on what the first one did.
func ExampleEffectOf() {
	for _, status := range []int{http.StatusOK, http.StatusTooManyRequests, http.StatusBadGateway} {
		api := server(status, `{"id":"dl_1"}`)
		client := &heffl.Client{BaseURL: api.URL}
		_, err := client.CreateDeal(context.Background(), json.RawMessage(`{"title":"Northwind rollout"}`))
		api.Close()

		switch heffl.EffectOf(err) {
		case heffl.EffectDone:
			fmt.Println("made")
		case heffl.EffectNone:
			fmt.Println("not made: send again once the reason is gone")
			if e, ok := errors.AsType[*heffl.Error](err); ok && e.Wait > 0 {
				fmt.Println("that is in", e.Wait)
			}
		case heffl.EffectUnknown:
			fmt.Println("made or not: look for it before sending again")
		case heffl.EffectPending:
			fmt.Println("perhaps still being made: look for it, now and later")
		}
	}
	// Output:
	// made
	// not made: send again once the reason is gone
	// that is in 23s
	// made or not: look for it before sending again
}
