// Has the time stand still at the last commit's, in UTC, for a tool that writes the time into what it makes.
import { execFileSync } from 'node:child_process'

const seconds = process.env.SOURCE_DATE_EPOCH ?? execFileSync('git', ['log', '-1', '--format=%ct'], { encoding: 'utf8' })
const at = Number(seconds) * 1000
process.env.TZ = 'UTC'
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length ? given : [at]))
  }
}
