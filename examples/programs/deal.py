"""Makes a deal in the sandbox: python3 deal.py

Only Python's own library is used. The official SDK (the package mcp) starts the same command.
"""

import json
import subprocess

server = subprocess.Popen(["heffl-mcp", "--sandbox"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def send(message):
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    server.stdin.flush()


def ask(number, method, params):
    send({"id": number, "method": method, "params": params})
    for line in server.stdout:
        answer = json.loads(line)
        if answer.get("id") == number:
            return answer["result"]


ask(1, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "deal.py", "version": "1"}})
send({"method": "notifications/initialized"})
result = ask(2, "tools/call", {"name": "create_deal", "arguments": {"title": "Northwind rollout", "clientId": "Northwind", "pipelineId": "Sales"}})
if result.get("isError"):
    raise SystemExit(result["content"][0]["text"])  # says what is wrong, and what to do
print(result["structuredContent"]["id"])
server.stdin.close()
server.wait()
