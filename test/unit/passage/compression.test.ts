import assert from 'node:assert/strict'

import {
  Compression, linkRateOf, type CompressionInit, type CompressionLevel, type CompressionMode, type LinkState,
} from '../../../src/passage/compression.ts'

const LITERAL_BYTES = 256 * 1024
const MB = 1e6

/** A way to another end on which batches of literals travel, packed to a quarter. */
class PlayedLink {
  readonly compression: Compression
  state: LinkState = {
    nowMs: 0, queuedBytes: 0, wireFill: 0, sentBytes: 0, deliveredBytes: 0, deliveredBytesPerSecond: undefined,
  }

  constructor(
    mode: CompressionMode, state: Partial<LinkState> = {}, seen: Omit<CompressionInit, 'mode'> = {},
  ) {
    this.compression = new Compression({ mode, ...seen })
    Object.assign(this.state, state)
  }

  /** Sends batches, one a millisecond; all but so much of them has arrived then. Returns their levels. */
  send(count: number, { bytes = LITERAL_BYTES, batchMs = 1, undelivered = 0, share = 1 / 4 } = {}): CompressionLevel[] {
    return Array.from({ length: count }, () => {
      const level = this.compression.levelFor(bytes, this.state)
      const wireBytes = level === 0 ? bytes : bytes * share
      this.compression.packed(bytes, wireBytes, level)
      this.state.sentBytes += wireBytes
      this.state.deliveredBytes = this.state.sentBytes - undelivered
      this.state.nowMs += batchMs
      return level
    })
  }
}

/** So much of each, in order: `[[8, 1], [2, 0]]` is eight of level 1 and two of level 0. */
function runsOf(levels: readonly CompressionLevel[]): [number, CompressionLevel][] {
  const runs: [number, CompressionLevel][] = []
  for (const level of levels) {
    const last = runs.at(-1)
    if (last?.[1] === level) last[0] += 1
    else runs.push([1, level])
  }
  return runs
}

describe('compression', () => {
  it('is never and always what it is told, whatever the link', () => {
    for (const state of [{}, { queuedBytes: 4 * MB, wireFill: 1 }, { sentBytes: 1e12 }]) {
      assert.deepEqual(runsOf(new PlayedLink('never', state).send(50)), [[50, 0]])
      assert.ok(!new PlayedLink('always', state).send(50).includes(0))
    }
  })

  it('begins compressed, and tries how fast the link is once it was empty for eight batches', () => {
    const link = new PlayedLink('auto', { sentBytes: 100 * MB })
    assert.deepEqual(runsOf(link.send(100)), [[7, 1], [93, 0]])
  })

  it('begins raw where the link was seen to be fast, and compresses once that backs it up', () => {
    for (const mode of ['auto', 'never'] as const) {
      assert.deepEqual(runsOf(new PlayedLink(mode, {}, { linkBytesPerSecond: 150 * MB }).send(50)), [[50, 0]])
    }
    assert.deepEqual(runsOf(new PlayedLink('auto', {}, { linkBytesPerSecond: 149 * MB }).send(50)), [[50, 1]])
    assert.ok(!new PlayedLink('always', {}, { linkBytesPerSecond: 1000 * MB }).send(50).includes(0))
    const link = new PlayedLink('auto', {}, { linkBytesPerSecond: 1000 * MB })
    link.state.wireFill = 0.75
    link.state.deliveredBytesPerSecond = 100 * MB
    assert.deepEqual(runsOf(link.send(202)), [[200, 0], [2, 1]])
  })

  it('is told the rate of a link only by a message that no traffic shaper lets pass at once', () => {
    assert.equal(linkRateOf({ bytes: 1.5 * MB, bytesPerSecond: 200 * MB }), 200 * MB)
    assert.equal(linkRateOf({ bytes: 1.5 * MB - 1, bytesPerSecond: 200 * MB }), undefined)
    assert.equal(linkRateOf(undefined), undefined)
  })

  it('stays compressed where a trial would cost more than a fiftieth of what was sent', () => {
    assert.deepEqual(runsOf(new PlayedLink('auto', { sentBytes: 10 * MB }).send(100)), [[100, 1]])
    // 1.5 MiB more than compressed, of a link's 78.6 MB.
    assert.deepEqual(runsOf(new PlayedLink('auto', { sentBytes: 78.1 * MB }).send(8)), [[8, 1]])
    assert.deepEqual(runsOf(new PlayedLink('auto', { sentBytes: 78.3 * MB }).send(8)), [[7, 1], [1, 0]])
  })

  it('tries nothing with few literals, nor while the lane is not empty', () => {
    const sentBytes = 1000 * MB
    assert.deepEqual(runsOf(new PlayedLink('auto', { sentBytes }).send(50, { bytes: 128 * 1024 - 4096 })), [[50, 1]])
    for (const state of [{ queuedBytes: 1 }, { wireFill: 0.51 }]) {
      assert.deepEqual(runsOf(new PlayedLink('auto', { sentBytes, ...state }).send(50)), [[50, 1]])
    }
  })

  it('takes a link for slow that brings less than 150 MB a second, and tries half as often after each time', () => {
    const link = new PlayedLink('auto', { sentBytes: 80 * MB })
    const levels = link.send(6000, { batchMs: 2 })
    const raw = levels.filter((level) => level === 0).length
    assert.ok(raw > 6 && raw < 20, `${raw}`)
    assert.ok(raw * LITERAL_BYTES * 0.75 < link.state.sentBytes / 50)
    assert.equal(levels[7], 0)
    assert.equal(levels.at(-1), 1)
  })

  it('counts a trial as delivered only when all of it was, by the time at which the last of it was', () => {
    const link = new PlayedLink('auto', { sentBytes: 200 * MB })
    // Eight batches make a trial; then it is waited for, compressed, and 14 ms are too long.
    assert.deepEqual(runsOf(link.send(22, { undelivered: 4 * MB })), [[7, 1], [8, 0], [7, 1]])
    link.state.deliveredBytes = link.state.sentBytes
    assert.deepEqual(runsOf(link.send(1)), [[1, 1]])
    const fast = new PlayedLink('auto', { sentBytes: 200 * MB })
    fast.send(16, { undelivered: 1 * MB })
    assert.deepEqual(runsOf(fast.send(5)), [[1, 1], [4, 0]])
  })

  it('compresses again where raw literals back the lane up, and waits twice as long each time', () => {
    const link = new PlayedLink('auto', { sentBytes: 200 * MB })
    link.send(30)
    for (const patience of [2, 4, 8]) {
      link.state.wireFill = 0.75
      assert.deepEqual(runsOf(link.send(4, { batchMs: 100 })), [[2, 0], [2, 1]])
      link.state.wireFill = 0.6
      assert.deepEqual(runsOf(link.send(20)), [[20, 1]], 'neither backed up nor empty')
      link.state.wireFill = 0.5
      assert.deepEqual(runsOf(link.send(8 * patience)), [[8 * patience - 1, 1], [1, 0]])
    }
  })

  it('stays raw where literals arrive as fast as zstd makes them: it is not the link that is slow', () => {
    for (const [share, bytesPerSecond] of [[1, 150 * MB], [1 / 4, 37.5 * MB]] as const) {
      const seen = { linkBytesPerSecond: 1000 * MB, share }
      const link = new PlayedLink('auto', { wireFill: 1, deliveredBytesPerSecond: bytesPerSecond }, seen)
      assert.deepEqual(runsOf(link.send(500)), [[500, 0]])
      link.state.deliveredBytesPerSecond = bytesPerSecond - 1
      assert.ok(!link.send(2).includes(0))
    }
  })

  it('waits until a rate was measured of a lane that is backed up', () => {
    const link = new PlayedLink('auto', { deliveredBytesPerSecond: 100 * MB }, { linkBytesPerSecond: 1000 * MB })
    assert.deepEqual(runsOf(link.send(300)), [[300, 0]], 'there is little to send')
    link.state.wireFill = 1
    assert.deepEqual(runsOf(link.send(199)), [[199, 0]])
    link.state.wireFill = 0.6
    assert.deepEqual(runsOf(link.send(1)), [[1, 0]], 'neither backed up nor empty')
    assert.deepEqual(runsOf(link.send(1)), [[1, 1]])
    const full = { wireFill: 1, deliveredBytesPerSecond: 100 * MB }
    const eased = new PlayedLink('auto', full, { linkBytesPerSecond: 1000 * MB })
    eased.send(150)
    eased.state.wireFill = 0
    eased.send(1)
    eased.state.wireFill = 1
    assert.deepEqual(runsOf(eased.send(200)), [[200, 0]])
  })

  it('is not changed by single batches that find the lane otherwise', () => {
    const link = new PlayedLink('auto', { sentBytes: 200 * MB })
    link.send(30)
    for (let i = 0; i < 20; i++) {
      link.state.queuedBytes = 256 * 1024
      assert.deepEqual(link.send(2), [0, 0])
      link.state.queuedBytes = 0
      assert.deepEqual(link.send(1), [0])
    }
  })

  it('is harder where the link is backed up steadily, and slow', () => {
    const level = (state: Partial<LinkState>, bytes = LITERAL_BYTES): [number, CompressionLevel][] =>
      runsOf(new PlayedLink('auto', { wireFill: 0.9, ...state }).send(41, { bytes }))
    assert.deepEqual(level({}), [[41, 1]])
    assert.deepEqual(level({ deliveredBytesPerSecond: 41 * MB }), [[41, 1]])
    assert.deepEqual(level({ deliveredBytesPerSecond: 40 * MB }), [[39, 1], [2, 3]])
    assert.deepEqual(level({ deliveredBytesPerSecond: 40 * MB }, 64 * 1024), [[41, 1]])
    assert.deepEqual(level({ deliveredBytesPerSecond: 100 * MB, queuedBytes: 256 * 1024 }), [[39, 1], [2, 3]])
    assert.deepEqual(level({ deliveredBytesPerSecond: 20 * MB }, 64 * 1024), [[39, 1], [2, 6]])
    const link = new PlayedLink('always', { wireFill: 0.9, deliveredBytesPerSecond: 5 * MB })
    assert.equal(link.send(41).at(-1), 6)
    link.state.wireFill = 0.2
    assert.deepEqual(link.send(1), [1], 'an empty lane waits for the processor')
  })

  it('tries at once with what does not shrink anyway: that costs nothing', () => {
    const link = new PlayedLink('auto', { sentBytes: 20 * MB })
    assert.deepEqual(runsOf(link.send(40, { share: 1 })).map(([, level]) => level), [1, 0])
  })

  it('has literals that are never larger than they are', () => {
    assert.throws(() => new Compression({ mode: 'auto' }).packed(4096, 4097, 1), /never travel larger/)
  })
})
