/** A handoff between agents whose log nobody takes: the lines are dropped, and nothing else happens. */
import assert from 'node:assert/strict'
import { appendFileSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { systemClock } from '../../src/runtime/clock.ts'
import { compareArrived, ensureImage, waitFor } from '../../testnet/index.ts'
import { hungReader } from '../support/hungreader.ts'
import { skipWithoutLab } from '../support/labmove.ts'
import { smallDisk } from '../support/smalldisk.ts'
import { TwoHosts } from './twohosts.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 150_000
const MEMORY_MIB = 96
const DISK_BYTES = 64 * 1024
const BLOCK_BYTES = 4096
const NOTHING = { census: { intervalSeconds: 5 }, store: { maxBytes: 0 } }

describe('a handoff between agents whose log is taken by', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let hosts: TwoHosts
  let count = 0

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    hosts = await TwoHosts.create()
  })

  after(() => hosts?.close())

  // Taken away after the agents that write there have ended.
  const disk = smallDisk(DISK_BYTES)

  /** Both agents write their log to this path. */
  async function logTo(path: string): Promise<void> {
    for (const host of ['a', 'b']) {
      await hosts.cluster.agent(host).stop()
      await hosts.cluster.restartAgent(host, NOTHING, ['sh', '-c', 'exec "$@" 2>>"$0"', path])
    }
    await hosts.joined()
  }

  /** Moves a guest; the same agents are there afterwards, and its memory is whole. */
  async function expectMove(): Promise<void> {
    const pids = ['a', 'b'].map((host) => hosts.cluster.agent(host).pid)
    const name = `guest${++count}`
    const source = await hosts.start('a', { name })
    const destination = await hosts.start('b', { name, incoming: true })
    await hosts.seen(source, destination)
    await source.client.execute('stop')
    const { words, errors } = await hosts.migrate('a', name, 'b')
    assert.deepEqual([words?.status, words?.arrivedState], ['completed', 'paused'], errors)
    const { comparedBytes, differences } = await compareArrived(source.guest, destination.guest)
    assert.deepEqual(differences, [])
    assert.ok(comparedBytes >= MEMORY_MIB * 2 ** 20)
    await hosts.expectFree()
    assert.deepEqual(['a', 'b'].map((host) => hosts.cluster.agent(host).pid), pids)
    assert.ok(['a', 'b'].every((host) => hosts.cluster.agent(host).running))
    await hosts.stopAll()
  }

  it('nothing', async () => {
    await logTo('/dev/full')
    await expectMove()
  })

  it('a reader that hangs', async () => {
    const path = join(hosts.cluster.directory, 'hung')
    const reader = hungReader(path, { isFull: true })
    try {
      await logTo(path)
      await expectMove()
    } finally {
      for (const host of ['a', 'b']) await hosts.cluster.agent(host).kill()
      reader.close()
    }
    for (const host of ['a', 'b']) await hosts.cluster.restartAgent(host, NOTHING)
  })

  it('a disk that is full, which is told how many it did not take', async () => {
    const [log, filler] = [join(disk, 'log'), join(disk, 'filler')]
    await logTo(log)
    // The block that the log has begun is full, too.
    appendFileSync(log, '\n'.repeat(BLOCK_BYTES - statSync(log).size % BLOCK_BYTES))
    fill(filler)
    await expectMove()
    assert.ok(statSync(log).size < DISK_BYTES / 2, 'most of the disk is full of something else')
    rmSync(filler)
    // What the agents say next.
    await expectMove()
    await waitFor(() => droppedBy(readFileSync(log, 'utf8')) > 0 ? true : undefined, {
      clock: systemClock, what: 'the number of dropped lines', timeoutMs: 30_000,
    })
  })
})

/** Fills the disk to its last byte. */
function fill(path: string): void {
  try {
    for (;;) appendFileSync(path, Buffer.alloc(512))
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
  }
}

function droppedBy(log: string): number {
  return [...log.matchAll(/"lines":(\d+),"msg":"lines of this log were dropped"/g)]
    .reduce((sum, [, lines]) => sum + Number(lines), 0)
}
