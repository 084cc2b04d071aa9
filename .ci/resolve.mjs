// Prints how a host starts an unpacked bundle whose user turned the sandbox on and left all else empty, as a client's
// configuration:
//
//   node resolve.mjs FOLDER-OF-NODE_MODULES UNPACKED
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [tools, unpacked] = process.argv.slice(2)
const { getMcpConfigForManifest } = await import(pathToFileURL(resolve(tools, 'node_modules/@anthropic-ai/mcpb/dist/index.js')))
const heffl = await getMcpConfigForManifest({
  manifest: JSON.parse(readFileSync(resolve(unpacked, 'manifest.json'), 'utf8')),
  extensionPath: resolve(unpacked),
  systemDirs: {},
  userConfig: { api_key: 'any text', sandbox: true },
  pathSeparator: '/',
})
delete heffl.platform_overrides
console.log(JSON.stringify({ mcpServers: { heffl } }, null, 2))
