import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'

import { PAGEMESH_WAYS, planOf, QEMU_WAYS, type Cell, type WayName } from '../../../testnet/compare/cells.ts'
import { longestSilence, workRate } from '../../../testnet/compare/measure/heartbeat.ts'
import { secondsIn } from '../../../testnet/compare/measure/processor.ts'
import { rowsOf, sharesOf, spreadOf, verdictsOf } from '../../../testnet/compare/results.ts'
import type { Sample } from '../../../testnet/compare/sample.ts'
import { busiestRate, countersOf, sentBetween } from '../../../testnet/machine/interfaces.ts'

const CELL: Cell = { link: '1 Gbit/s', destination: 'similar', guest: 'idle', count: 1, leftOut: 'none' }

function sample(way: WayName, figures: Partial<Sample> = {}): Sample {
  return {
    round: 1, cell: CELL, way, wireBytes: 100e6, sourceBytes: 100e6,
    accounts: { report: 1e3, gossip: 2e3, swap: 3e3, peers: 0, handoff: 0 },
    totalMs: 1000, downtimeMs: 100, silenceMs: 150, usualSilenceMs: 20, peakBytesPerSecond: 125e6,
    agentSeconds: 1, qemuSeconds: 2, handoffs: [], ...figures,
  }
}

describe('the plan of the comparison', () => {
  for (const [name, isQuick] of [['whole', false], ['quick', true]] as const) {
    it(`has all ways between the same two hosts, and no measurement twice (${name})`, () => {
      const { steps, secondsMax } = planOf(isQuick)
      const ways = steps.filter(({ round, cell }) => round === 1 && isDeepStrictEqual(cell, CELL))
      assert.deepEqual(ways.map(({ way }) => way), [...QEMU_WAYS, ...PAGEMESH_WAYS])
      assert.equal(new Set(steps.map((step) => JSON.stringify(step))).size, steps.length)
      assert.ok(secondsMax < (isQuick ? 8 : 45) * 60)
    })

    it(`has idle and busy guests, and a slow link (${name})`, () => {
      const { steps } = planOf(isQuick)
      for (const guest of ['idle', 'busy']) assert.ok(steps.some(({ cell }) => cell.guest === guest))
      for (const link of ['100 Mbit/s', '1 Gbit/s']) assert.ok(steps.some(({ cell }) => cell.link === link))
    })
  }

  it('has every part left out, all destinations, all links, and five guests at once', () => {
    const { steps } = planOf(false)
    const firsts = steps.filter(({ round }) => round === 1)
    const values = (field: keyof Cell): string[] => [...new Set(firsts.map(({ cell }) => String(cell[field])))].sort()
    assert.deepEqual(values('leftOut'), ['compression', 'none', 'peers', 'references', 'store'])
    assert.deepEqual(values('destination'), ['nothing', 'placement', 'similar'])
    assert.deepEqual(values('link'), ['1 Gbit/s', '100 Mbit/s', 'unshaped'])
    assert.deepEqual(values('count'), ['1', '5'])
  })
})

describe('what is measured from outside', () => {
  it('is the longest silence between two times, their edges included', () => {
    assert.equal(longestSilence([10, 20, 130, 140], 0, 150), 110)
    assert.equal(longestSilence([130, 20, 10, 140], 0, 400), 260)
    assert.equal(longestSilence([90], 0, 100), 90)
    assert.equal(longestSilence([], 0, 100), 100)
  })

  it('is work a second, whichever end tells of it', () => {
    const marks = [{ at: 0, done: 10 }, { at: 1000, done: 60 }, { at: 3000, done: 80 }]
    assert.equal(workRate(marks, 0, 1000), 50)
    assert.equal(workRate(marks, 1000, 3000), 10)
    assert.equal(workRate([], 0, 1000), 0)
  })

  it('is the busiest window of an interface, and all that it sent', () => {
    const looks = [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200]
      .map((at) => ({
        at, hosts: [at * 1000, at <= 100 ? 0 : (at - 100) * 10_000]
          .map((sentBytes) => ({ sentBytes, receivedBytes: at * 500 })),
      }))
    assert.deepEqual(sentBetween(looks), [200e3, 1e6])
    assert.equal(busiestRate(looks, 0, 'sentBytes', 100), 1e6)
    assert.equal(busiestRate(looks, 0, 'receivedBytes', 100), 500e3)
    assert.equal(busiestRate(looks, 1, 'sentBytes', 100), 10e6)
    assert.equal(busiestRate(looks, 1, 'sentBytes', 300), 0)
    assert.deepEqual(sentBetween([]), [])
  })

  it('is read from what the kernel says', () => {
    const text = 'Inter-|   Receive\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 9 10\n' +
      '  eth0: 500 2 0 0 0 0 0 0 1234 7 0 0 0 0 0 0\n'
    assert.deepEqual(countersOf(text), { receivedBytes: 500, sentBytes: 1234 })
    assert.equal(secondsIn('12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0'), 2)
  })
})

describe('the results of the comparison', () => {
  it('are medians with their spread', () => {
    assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, lowest: 1, highest: 3 })
    assert.deepEqual(spreadOf([4, 1]), { median: 2.5, lowest: 1, highest: 4 })
    assert.throws(() => spreadOf([]), RangeError)
  })

  it('set each sample beside plain pre-copy of its own round', () => {
    const rows = rowsOf([
      sample('qemu-precopy'), sample('pagemesh-precopy', { wireBytes: 20e6, totalMs: 500 }),
      sample('qemu-precopy', { round: 2, wireBytes: 200e6 }),
      sample('pagemesh-precopy', { round: 2, wireBytes: 20e6, totalMs: 1500 }),
    ])
    const ours = rows.find(({ way }) => way === 'pagemesh-precopy')!
    assert.deepEqual(ours.ratios?.wireBytes, { median: 0.15000000000000002, lowest: 0.1, highest: 0.2 })
    assert.deepEqual(ours.ratios?.totalMs, { median: 1, lowest: 0.5, highest: 1.5 })
    assert.equal(ours.figures.besideBytes.median, 6e3)
  })

  it('leave out moves that failed, and keep those after which the guest was lost', () => {
    const rows = rowsOf([
      sample('qemu-precopy', { failure: 'no' }), sample('qemu-multifd-zstd', { loss: 'QEMU ended' }),
    ])
    assert.deepEqual(rows.map(({ way }) => way), ['qemu-multifd-zstd'])
  })

  it('let our better way stand against the best of QEMU, which counts for every destination', () => {
    const placement: Cell = { ...CELL, destination: 'placement' }
    const verdicts = verdictsOf(rowsOf([
      sample('qemu-precopy', { downtimeMs: 90 }), sample('qemu-postcopy', { downtimeMs: 2, totalMs: 900 }),
      sample('pagemesh-precopy', { cell: placement, wireBytes: 20e6, downtimeMs: 120, totalMs: 950 }),
      sample('pagemesh-postcopy', { cell: placement, wireBytes: 30e6, downtimeMs: 10, totalMs: 800 }),
      sample('pagemesh-precopy', { cell: { ...placement, leftOut: 'store' } }),
    ]))
    const lost = verdicts.filter(({ isLost }) => isLost)
    assert.deepEqual(verdicts.map(({ contest }) => contest), ['wireBytes', 'totalMs', 'downtimeMs', 'silenceMs'])
    assert.deepEqual(lost.map(({ contest, ours, theirs }) => [contest, ours.value, theirs.value]),
      [['downtimeMs', 10, 2]])
    assert.deepEqual(verdicts[0]?.ours, { way: 'pagemesh-precopy', value: 20e6 })
  })

  it('set no silence against that of a guest that was lost', () => {
    const verdicts = verdictsOf(rowsOf([
      sample('qemu-precopy', { silenceMs: 100 }), sample('qemu-multifd-zstd', { silenceMs: 10, loss: 'QEMU ended' }),
      sample('pagemesh-precopy', { silenceMs: 90 }),
    ]))
    assert.equal(verdicts.find(({ contest }) => contest === 'silenceMs')?.theirs.way, 'qemu-precopy')
  })

  it('say what came from distribution beforehand only where that was measured', () => {
    const samples = [
      sample('qemu-precopy'),
      sample('pagemesh-precopy', { cell: { ...CELL, destination: 'nothing' }, wireBytes: 50e6 }),
    ]
    assert.equal(sharesOf(rowsOf(samples), '1 Gbit/s', 'idle'), undefined)
    samples.push(sample('pagemesh-precopy', { cell: { ...CELL, destination: 'placement' }, wireBytes: 20e6 }))
    assert.deepEqual(sharesOf(rowsOf(samples), '1 Gbit/s', 'idle'),
      { plain: 100e6, nothing: 50e6, placement: 20e6, similar: undefined })
  })
})
