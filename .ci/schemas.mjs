// Writes the official JSON schemas of the protocol's revisions into a folder, as the conformance suite bundles them:
//
//   node .ci/schemas.mjs node_modules/@modelcontextprotocol/conformance/dist/index.js internal/mcpspec
//
// The suite's bundle holds each as an object literal in one list of declarations, and then a map from revision to name.
import { readFileSync, writeFileSync } from 'node:fs'

const [bundle, folder] = process.argv.slice(2)
const text = readFileSync(bundle, 'utf8')
const map = /const \w+=\{("20\d\d-\d\d-\d\d":\w+,.*?)\};/.exec(text)
const names = [...map[1].matchAll(/("20\d\d-\d\d-\d\d"|\[\w+\]):(\w+)/g)]
const revisions = names.map(([, key]) => (key.startsWith('"') ? JSON.parse(key) : '2026-07-28')) // the last is keyed by a constant
const start = text.lastIndexOf(`${names[0][2]}={$schema:`, map.index)
const declared = `const ${text.slice(start, map.index).replace(/;\s*$/, '')};return [${names.map((n) => n[2])}]`
const schemas = new Function(declared)()
revisions.forEach((revision, i) => writeFileSync(`${folder}/${revision}.json`, JSON.stringify(schemas[i], null, '\t') + '\n'))
