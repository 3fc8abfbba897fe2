/**
 * A process that puts pages into a store and removes some, until it is killed. It prints a line of JSON before and
 * after each step: { doing: 'put' | 'remove', pages } and { done: true }.
 *
 *   node writerprocess.ts DIRECTORY SLOTS SEED
 */
import { writeSync } from 'node:fs'

import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { bytesOf } from '../../../src/store/format.ts'
import { createStore, type PageKind } from '../../../src/store/index.ts'
import { numbers, pagesOf, prefixesOf, scopes } from '../../support/madestore.ts'
import { seededRandom } from '../../support/random.ts'

const [path, slots, seed] = process.argv.slice(2)
const random = seededRandom(Number(seed))
const store = createStore({ clock: systemClock, log: silentLog, random: systemRandom, scopes }, {
  path: path!, bytesMax: bytesOf(Number(slots)),
})
const kinds: readonly PageKind[] = ['head', 'tail', 'departed']

function say(what: object): void {
  writeSync(1, `${JSON.stringify(what)}\n`)
}

await store.start()
for (;;) {
  const pages = numbers(64, Math.floor(random() * 2000))
  const doing = random() < 0.7 ? 'put' : 'remove'
  say({ doing, pages })
  if (doing === 'put') await store.put(pagesOf(pages), kinds[Math.floor(random() * 3)]!)
  else await store.remove(prefixesOf(pages))
  say({ done: true })
}
