// The official TypeScript clients, v1 and v2, talk to the program over each transport that they have, in each era that they
// speak: the tools are listed, a deal is made in a user's words and comes back as structured content, a wrong call says
// what is wrong, and prompts are read where there are any.
//
//   HEFFL_MCP_TOKEN=... node .ci/interop.mjs FOLDER PROGRAM URL
//
// FOLDER is where npm has installed the clients, PROGRAM is started for stdio, URL is that of a server with that token.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [folder, program, url] = process.argv.slice(2)
const { resolve } = createRequire(`${folder}/package.json`)
const load = async (...names) => Object.assign({}, ...(await Promise.all(names.map((n) => import(pathToFileURL(resolve(n)).href)))))
const v1 = await load('@modelcontextprotocol/sdk/client/index.js', '@modelcontextprotocol/sdk/client/stdio.js', '@modelcontextprotocol/sdk/client/streamableHttp.js', '@modelcontextprotocol/sdk/client/sse.js')
const v2 = await load('@modelcontextprotocol/client', '@modelcontextprotocol/client/stdio')

const headers = { Authorization: `Bearer ${process.env.HEFFL_MCP_TOKEN}` }
const transports = {
  stdio: (sdk) => new sdk.StdioClientTransport({ command: program, env: { HEFFL_SANDBOX: 'true' }, stderr: 'ignore' }),
  'Streamable HTTP': (sdk) => new sdk.StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } }),
  'HTTP+SSE': (sdk) => new sdk.SSEClientTransport(new URL(`${url}/sse`), { requestInit: { headers } }),
}
const legacy = '2025-11-25'
const modern = '2026-07-28'
const pin = { versionNegotiation: { mode: { pin: modern } } }
const ways = [
  ['v1', v1, 'stdio', legacy],
  ['v1', v1, 'Streamable HTTP', legacy],
  ['v1', v1, 'HTTP+SSE', legacy],
  ['v2', v2, 'stdio', legacy],
  ['v2', v2, 'stdio', modern, pin],
  ['v2', v2, 'Streamable HTTP', legacy],
  ['v2', v2, 'Streamable HTTP', modern, pin],
  ['v2', v2, 'Streamable HTTP', modern, { versionNegotiation: { mode: 'auto' } }],
  ['v2', v2, 'HTTP+SSE', legacy],
]
const words = JSON.parse(readFileSync('examples/words/order.json', 'utf8'))

let n = 0
for (const [version, sdk, transport, revision, options = {}] of ways) {
  const name = `TypeScript client ${version}, ${transport}, ${revision}${options.versionNegotiation?.mode === 'auto' ? ' found out' : ''}`
  const client = new sdk.Client({ name: 'interop', version: '1' }, { capabilities: {}, ...options })
  const errors = []
  client.onerror = (e) => errors.push(e)
  const channel = transports[transport](sdk)
  await client.connect(channel)
  const agreed = client.getNegotiatedProtocolVersion?.() ?? channel.protocolVersion ?? channel._protocolVersion
  if (agreed !== undefined) assert.equal(agreed, revision, name)

  const { tools } = await client.listTools()
  assert.ok(tools.some((t) => t.name === 'create_deal' && t.outputSchema), `${name}: no create_deal in ${tools.map((t) => t.name)}`)

  const args = { ...words, title: `${words.title}, ${++n}` }
  const made = await client.callTool({ name: 'create_deal', arguments: args }) // which holds structured content to the output schema
  assert.ok(!made.isError, `${name}: ${JSON.stringify(made.content)}`)
  assert.match(made.structuredContent.id, /^dl_/, name)
  assert.equal(made.structuredContent.title, args.title, name)
  const again = await client.callTool({ name: 'create_deal', arguments: args })
  assert.equal(again.structuredContent.id, made.structuredContent.id, `${name}: the same call made a second deal`)

  const refused = await client.callTool({ name: 'create_deal', arguments: { title: 'x', amount: 1 } })
  assert.equal(refused.isError, true, name)
  assert.match(refused.content[0].text, /did you mean price\?/, name)
  await assert.rejects(client.callTool({ name: 'delete_everything', arguments: {} }), name)

  if (client.getServerCapabilities().prompts) {
    const { prompts } = await client.listPrompts()
    assert.ok(prompts.length > 0, name)
  }
  await client.close()
  assert.deepEqual(errors.filter((e) => e.name !== 'AbortError'), [], name)
  console.log(`${name}: ok`)
}

for (const [version, sdk] of [['v1', v1], ['v2', v2]]) {
  const client = new sdk.Client({ name: 'interop', version: '1' })
  const stranger = new sdk.StreamableHTTPClientTransport(new URL(`${url}/mcp`))
  await assert.rejects(client.connect(stranger), (e) => e.code === 401 || /401|bearer token is needed/.test(e.message), `${version}: not refused`)
  console.log(`TypeScript client ${version}, without the token: refused`)
}
