import { setImmediate, setTimeout } from 'node:timers/promises'

/** How long what tests have closed may take to be gone. */
export const CLOSING_MS_MAX = Number(process.env['PAGEMESH_CLOSING_MS'] ?? 20_000)
const PAUSE_MS = 10

let before = new Map<string, number>()

/** How many of each kind this process has open. */
async function countOpen(): Promise<Map<string, number>> {
  // What has ended, or was closed, is gone after a turn.
  await setImmediate()
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

async function leftOpen(): Promise<string[]> {
  const open = [...await countOpen()]
  return open.filter(([kind, count]) => count > (before.get(kind) ?? 0)).map(([kind]) => kind)
}

/**
 * For `mocha --parallel`, which ends its processes once all tests are done: a file whose tests leave a server, a
 * process or a timer behind fails. Without `--parallel` they would keep the process alive, and the reporter says so.
 */
export const mochaHooks = {
  async beforeAll(): Promise<void> {
    before = await countOpen()
  },

  async afterAll(this: Mocha.Context): Promise<void> {
    this.timeout(CLOSING_MS_MAX + 20_000)
    const endAt = performance.now() + CLOSING_MS_MAX
    let left = await leftOpen()
    while (left.length > 0) {
      if (performance.now() > endAt) {
        const { file } = this.test!.parent!.suites[0]!
        throw new Error(`The tests ended, but ${file} leaves these open: ${left.join(', ')}`)
      }
      await setTimeout(PAUSE_MS)
      left = await leftOpen()
    }
  },
}
