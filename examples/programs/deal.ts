// Makes a deal in the sandbox: node deal.ts (Node 22.18 or newer; npm install @modelcontextprotocol/sdk)
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'

const client = new Client({ name: 'deal.ts', version: '1' })
await client.connect(new StdioClientTransport({ command: 'heffl-mcp', args: ['--sandbox'], stderr: 'ignore' }))
const result = await client.callTool({
  name: 'create_deal',
  arguments: { title: 'Northwind rollout', clientId: 'Northwind', pipelineId: 'Sales' },
})
if (result.isError) {
  throw new Error((result.content as { text: string }[])[0].text) // says what is wrong, and what to do
}
console.log((result.structuredContent as { id: string }).id)
await client.close()
