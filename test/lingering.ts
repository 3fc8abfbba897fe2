import { Socket } from 'node:net'
import { setImmediate, setTimeout } from 'node:timers/promises'

/** How long what tests have closed may take to be gone. */
export const CLOSING_MS_MAX = Number(process.env['PAGEMESH_CLOSING_MS'] ?? 20_000)
const PAUSE_MS = 10

/** Open sockets, as Node names them. One that nobody reads from keeps no process alive: others are counted. */
const SOCKETS = ['PipeWrap', 'TCPSocketWrap']

/** Not documented: what Node has open, itself. */
interface Handles {
  _getActiveHandles(): object[]
}

let before = new Map<string, number>()

/** How many of each kind this process has open that would keep it alive. */
async function countOpen(): Promise<Map<string, number>> {
  // What has ended, or was closed, is gone after a turn.
  await setImmediate()
  const counts = new Map<string, number>()
  const kinds = process.getActiveResourcesInfo().filter((kind) => !SOCKETS.includes(kind))
  const sockets = (process as unknown as Handles)._getActiveHandles()
    .filter((handle) => handle instanceof Socket && isRead(handle)).map(() => 'Socket')
  for (const kind of [...kinds, ...sockets]) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

function isRead(socket: Socket): boolean {
  return (socket as unknown as { _handle: { reading: boolean } | null })._handle?.reading === true
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
