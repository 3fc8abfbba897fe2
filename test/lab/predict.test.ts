import assert from 'node:assert/strict'

import type { HandoffEstimate } from '../../src/index.ts'
import { createCluster, ensureImage, type LabCluster } from '../../testnet/index.ts'
import { move, skipWithoutLab, type GuestKind } from '../support/labmove.ts'

const TEST_TIMEOUT_MS = 900_000
const LINK_BYTES_PER_SECOND = 125e6
/** `whole`: also Debian guests, and more moves of each. */
const IS_WHOLE = process.env['PAGEMESH_PREDICT'] === 'whole'
const MOVES = IS_WHOLE ? 3 : 2
/** Most by which the predictions of bytes and of time may be wrong, by the median of all moves. */
const ERROR_MAX = { bytes: 0.2, time: 0.3 }

const BUSYBOX: readonly GuestKind[] = [
  { name: 'idle', system: 'busybox', work: 'idle', memoryMiB: 128 },
  { name: 'random', system: 'busybox', work: 'random', memoryMiB: 128 },
]
const DEBIAN: readonly GuestKind[] = [
  { name: 'quiet', work: 'idle', memoryMiB: 512 }, { name: 'web', work: 'web', memoryMiB: 512 },
]
const KINDS = IS_WHOLE ? [...BUSYBOX, ...DEBIAN] : BUSYBOX

describe('what a dry run expects', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined

  before(async function () {
    await skipWithoutLab.call(this)
    await ensureImage()
  })

  after(() => cluster?.close())

  async function predicted(from: string, to: string, guest: string): Promise<HandoffEstimate> {
    const { status, output, errors } =
      await cluster!.agent(from).command('migrate', guest, '--to', to, '--dry-run', '--json')
    assert.equal(status, 0, errors)
    return JSON.parse(output) as HandoffEstimate
  }

  it('is what then happens: first of a guest that is new there, then of one that comes back', async () => {
    cluster = await createCluster({ hosts: ['a', 'b'], bytesPerSecond: LINK_BYTES_PER_SECOND })
    const errors: number[] = []
    const timeErrors: number[] = []
    for (const kind of KINDS) {
      let guest = await cluster.startGuest('a', kind)
      await guest.ready()
      for (let turn = 0; turn < MOVES; turn++) {
        const [from, to] = turn % 2 === 0 ? ['a', 'b'] as const : ['b', 'a'] as const
        await cluster.settled()
        const destination = await cluster.startGuest(to, { ...kind, incoming: true })
        const { expected, obstacles } = await predicted(from, to, kind.name)
        assert.deepEqual(obstacles, [])
        const { wireBytes, totalMs } = await move(cluster, { guest, from, to, mode: 'precopy' })
        errors.push(Math.abs(expected!.wireBytes / wireBytes - 1))
        // What is not known, because no guest has moved there yet, is wrong.
        timeErrors.push(expected!.totalMs === null ? Infinity : Math.abs(expected!.totalMs / totalMs - 1))
        const time = expected!.totalMs === null ? 'time not known' : `${expected!.totalMs} ms`
        console.log(`      ${kind.name}: ${(expected!.wireBytes / 1e6).toFixed(2)} MB expected, ` +
          `${(wireBytes / 1e6).toFixed(2)} sent; ${time} expected, it took ${totalMs}`)
        await guest.stop()
        guest = destination
      }
      await guest.stop()
    }
    console.log(`      bytes off by ${percents(errors)}; time off by ${percents(timeErrors)}`)
    assert.ok(medianOf(errors) <= ERROR_MAX.bytes, `bytes off by ${medianOf(errors)} in the median`)
    // The first move of each host has nothing to go by, and they are half of the moves otherwise.
    if (IS_WHOLE) assert.ok(medianOf(timeErrors) <= ERROR_MAX.time, `time off by ${medianOf(timeErrors)} in the median`)
  })
})

function medianOf(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!
}

function percents(errors: readonly number[]): string {
  return errors.map((error) => (error === Infinity ? 'unknown' : `${(error * 100).toFixed(1)} %`)).join(', ')
}
