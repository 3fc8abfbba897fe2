import { Socket } from 'node:net'
import { setImmediate, setTimeout } from 'node:timers/promises'

/** How long closed resources may take to disappear, ms. */
export const CLOSING_MS_MAX = Number(process.env['PAGEMESH_CLOSING_MS'] ?? 20_000)
const PAUSE_MS = 10

/** Open sockets, by Node's names. A socket that is not read keeps no process alive: others are counted. */
const SOCKETS = ['PipeWrap', 'TCPSocketWrap']

/** Node's undocumented list of open handles. */
interface Handles {
  _getActiveHandles(): object[]
}

let before = new Map<string, number>()

/** How many handles of each kind this process has open that would keep it alive. */
async function countOpen(): Promise<Map<string, number>> {
  // Ended and closed handles disappear after a turn.
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
 * For `mocha --parallel`, which ends its processes after all tests: a file whose tests leave a server, a process or a
 * timer open fails. Without `--parallel` these would keep the process alive, and the reporter names them.
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
