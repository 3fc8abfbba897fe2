import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

import type { HandoffResult } from '../../../src/index.ts'
import { WITH_LIBVIRT } from '../../../testnet/demo/libvirt.ts'
import type { Move } from '../../../testnet/demo/move.ts'
import { Progress } from '../../../testnet/demo/progress.ts'
import { renderMoves } from '../../../testnet/demo/table.ts'
import { SteppedClock } from '../../support/steppedclock.ts'

const NOTHING = { report: 0, gossip: 0, swap: 0 }
const RESULT: HandoffResult = {
  guest: 'web', from: 'a', to: 'b', mode: 'precopy', status: 'completed', arrivedState: 'running',
  totalMs: 1500, downtimeMs: 120, qemuBytes: 200e6, wireBytes: 24e6, receivedWireBytes: 1e6, peerBytes: 0, channels: 1,
  pages: { total: 60, zero: 10, ref: 30, literal: 20 },
  refsFilledBy: { sentBefore: 3, resident: 1234, store: 5, peer: 7, source: 9 },
  rawBytes: 1, literalBytes: 2, literalWireBytes: 3, digestMatched: true,
  ledger: { savedBytes: 175e6, spentBytes: { source: NOTHING, destination: NOTHING }, netBytes: 175e6 },
}
const MOVES: Move[] = [
  {
    mode: 'precopy', by: 'Pagemesh', from: 'a', to: 'b', wireBytes: 25e6, totalMs: 1500, downtimeMs: 120,
    equalBytes: 512 * 2 ** 20, result: RESULT,
  },
  {
    mode: 'precopy', by: 'QEMU alone', from: 'a', to: 'b', wireBytes: 250e6, totalMs: 2000, downtimeMs: 100,
    equalBytes: 512 * 2 ** 20,
  },
]

/** The cells of the row that begins with `name`. */
function row(table: string, name: string): string[] {
  const line = table.split('\n').find((candidate) => candidate.split('│')[1]?.trim() === name)
  return line?.split('│').slice(2, -1).map((cell) => cell.trim()) ?? []
}

describe('the demo\'s last line', () => {
  it('says in one line how the same is done with libvirt, as the documents do', () => {
    assert.doesNotMatch(WITH_LIBVIRT, /\n/)
    const document = readFileSync(new URL('../../../src/daemon/README.md', import.meta.url), 'utf8')
    const commands = [...WITH_LIBVIRT.matchAll(/`([^`]+)`/g)].map(([, command = '']) => command)
    assert.deepEqual(commands.map((command) => command.split(' ').slice(0, 2).join(' ')),
      ['pagemesh tunnel', 'virsh migrate'])
    for (const command of commands) assert.ok(document.includes(`\n  ${command}\n`), command)
  })
})

describe('the demo\'s table', () => {
  const table = renderMoves(MOVES)

  it('sets Pagemesh against QEMU alone in the same mode', () => {
    assert.deepEqual(row(table, 'bytes on the wire'), ['25.0 MB', '250.0 MB'])
    assert.match(table, /of QEMU alone +│ 0\.10 +│ +│/)
    assert.match(table, /of QEMU alone +│ 0\.75 +│ +│/)
  })

  it('says pages and where references were filled from, of Pagemesh alone', () => {
    assert.deepEqual(row(table, 'references'), ['30', ''])
    assert.deepEqual(row(table, 'resident there'), ['1,234', ''])
    assert.deepEqual(row(table, 'asked back'), ['9', ''])
  })

  it('has no colours, so that it may be kept in a file', () => {
    assert.ok(!table.includes('\u001B'))
  })
})

describe('the demo\'s progress', () => {
  it('says now and then that a long step still runs, and passes on what comes of it', async () => {
    const clock = new SteppedClock()
    const lines: string[] = []
    const progress = new Progress({ output: { write: (text: string) => lines.push(text) }, clock })
    const { promise, resolve } = Promise.withResolvers<number>()
    const step = progress.step('booting', () => promise)
    await clock.until(() => clock.now() >= 25_000)
    resolve(7)
    assert.equal(await step, 7)
    assert.deepEqual(lines, ['[  0 s] booting ...\n', '[ 10 s] booting ... 10 s\n', '[ 20 s] booting ... 20 s\n'])
  })

  it('counts in place on a terminal, and leaves whole lines behind', async () => {
    const clock = new SteppedClock()
    let text = ''
    const progress = new Progress({ output: { isTTY: true, write: (more: string) => { text += more } }, clock })
    await progress.step('booting', () => clock.until(() => clock.now() >= 1000))
    await assert.rejects(progress.step('moving', () => Promise.reject(new Error('no link'))), { message: 'no link' })
    assert.equal(text, '[  0 s] booting ...\r[  1 s] booting ... 1 s\u001B[K\r[  1 s] booting: done\u001B[K\n' +
      '[  1 s] moving ...\n')
  })
})
