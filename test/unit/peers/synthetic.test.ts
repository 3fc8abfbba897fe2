import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { SyntheticCluster } from '../../../peers/model.ts'
import type { SyntheticOptions } from '../../../peers/synthetic.ts'
import { SyntheticMemory, writePage } from '../../../peers/syntheticmemory.ts'
import { PAGE_BYTES, writeClusterKey, type Agent, type AgentStatus } from '../../../src/index.ts'
import { isZeroPage } from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'

const PEER = join(import.meta.dirname, '..', '..', '..', 'peers', 'synthetic.ts')
/** Starting Node takes far longer than the agent's work when the machine has other things to do. */
const TIMEOUT_MS = 60_000

describe('the memory of a synthetic guest', () => {
  it('has the bytes that its contents stand for, and zeros behind them', async () => {
    const guest = new SyntheticCluster({ seed: 1, pagesPerGuest: 100 }).guestOf(0)
    const memory = new SyntheticMemory({ clock: systemClock, guest }, { name: 'a', lookMs: 1e12 })
    const pages = memory.blocks[0]!.bytes / PAGE_BYTES
    assert.equal(pages, 110)
    const bytes = Buffer.alloc(pages * PAGE_BYTES)
    await memory.read(0, 0, pages, bytes)
    const expected = Buffer.alloc(PAGE_BYTES)
    for (let page = 0; page < pages; page++) {
      const isZero = isZeroPage(bytes, page * PAGE_BYTES)
      assert.equal(isZero, page >= 100)
      if (isZero) continue
      writePage(guest.contentAt(page, Math.floor(systemClock.wallTime() / 1e12)), expected)
      assert.ok(bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES).equals(expected))
    }
    const beginnings = Array.from({ length: 100 }, (_, page) =>
      bytes.toString('latin1', page * PAGE_BYTES, page * PAGE_BYTES + 64))
    const different = new Set(beginnings)
    assert.equal(different.size, 100)
  })
})

describe('the peer with synthetic guests', function () {
  this.timeout(TIMEOUT_MS)

  it('scans them and answers what it is asked', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pm-peer-'))
    try {
      const clusterKey = join(folder, 'cluster.key')
      await writeClusterKey(clusterKey)
      const options: SyntheticOptions = {
        agent: {
          name: 'host-a', clusterKey, listen: ['/ip4/127.0.0.1/tcp/0'], lane: '127.0.0.1:0', store: { path: folder },
        },
        cluster: { seed: 1, pagesPerGuest: 50 }, firstGuest: 0, guests: 3, lookSeconds: 60,
      }
      await writeFile(join(folder, 'synthetic.json'), JSON.stringify(options))
      const words = [PEER, join(folder, 'synthetic.json')]
      const peer = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'ignore'] })
      const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()
      const ask = async (request: string): Promise<unknown> => {
        peer.stdin.write(`${request}\n`)
        return JSON.parse((await lines.next()).value as string)
      }
      assert.match((await lines.next()).value as string, /^host-a runs as \w+$/)
      let status: AgentStatus
      do ({ status } = await ask('host-a status') as { status: AgentStatus })
      while (!status.settled)
      assert.deepEqual(status.guests.map(({ residentPages }) => residentPages), [55, 55, 55])
      assert.deepEqual(await ask('host-a pages 5'), { pages: [] satisfies ReturnType<Agent['pages']> })
      assert.deepEqual(await ask('host-b status'), { error: 'unknown request: host-b status' })
      peer.kill('SIGTERM')
      const [code] = await once(peer, 'exit') as [number | null]
      assert.equal(code, 0)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
