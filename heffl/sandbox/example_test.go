package sandbox_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"

	"heffl-mcp/heffl/sandbox"
)

// Make a deal whose answer is lost on the way, and find it all the same.
func Example() {
	s := sandbox.New(sandbox.Options{Key: "k"})
	defer s.Close()

	body := `{"title": "Northwind rollout", "clientId": "clt_northwind", "pipelineId": "dpl_sales", "price": 25000.00}`
	req, err := http.NewRequest("POST", sandbox.BaseURL+"/deals", strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("x-api-key", "k")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(sandbox.FaultHeader, "after:drop")
	_, err = s.HTTPClient().Do(req)
	fmt.Println(err)

	deals := s.Deals()
	var last struct {
		ID, Title, Stage string
		Price            json.Number
	}
	if err := json.Unmarshal(deals[len(deals)-1], &last); err != nil {
		log.Fatal(err)
	}
	fmt.Println(last)
	// Output:
	// Post "http://localhost/api/v2/deals": EOF
	// {dl_1001 Northwind rollout New 25000.00}
}
