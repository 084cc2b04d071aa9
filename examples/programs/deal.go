//go:build ignore

// Makes a deal in the sandbox: go run deal.go
package main

import (
	"context"
	"fmt"
	"log"
	"os/exec"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx := context.Background()
	client := mcp.NewClient(&mcp.Implementation{Name: "deal.go", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: exec.Command("heffl-mcp", "--sandbox")}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "create_deal", Arguments: map[string]any{
		"title": "Northwind rollout", "clientId": "Northwind", "pipelineId": "Sales",
	}})
	if err != nil {
		log.Fatal(err)
	}
	if result.IsError {
		log.Fatal(result.Content[0].(*mcp.TextContent).Text) // says what is wrong, and what to do
	}
	fmt.Println(result.StructuredContent.(map[string]any)["id"])
}
