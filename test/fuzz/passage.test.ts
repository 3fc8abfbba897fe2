import assert from 'node:assert/strict'
import fc from 'fast-check'

import { PASSAGE_FRAMES, type PassageFrame } from '../../src/passage/wire.ts'
import { bodyOf, encode, page, prefixesOf, sourceWith } from '../support/madepages.ts'
import { playedIncoming, playedOutgoing, settle } from '../support/passagerelay.ts'
import { precopyStream } from '../support/streambuilder.ts'

/** Runs of each property; a long run sets more. */
const RUNS = Number(process.env['PAGEMESH_FUZZ_RUNS'] ?? 100)

const HELD = [1, 2].map(page)
const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: [0, 1, 2, 0, 3].map(page) }]).bytes)
const BODIES = encode(STREAM, prefixesOf([...HELD, page(3)]), [5000], [true]).map(bodyOf)

type Move = { name: PassageFrame; body: Buffer } | { raw: Uint8Array } | { at: number; mask: number; name: 'damaged' }

const number = fc.nat(5).map((value) => Buffer.from([0, 0, 0, value]))
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 6, arbitrary: fc.nat(BODIES.length - 1).map((i) => ({ name: 'batch' as const, body: BODIES[i]! })) },
  {
    weight: 2,
    arbitrary: fc.record({ at: fc.nat(), mask: fc.integer({ min: 1, max: 255 }), name: fc.constant('damaged') }),
  },
  {
    weight: 2,
    arbitrary: number.map((batch) => ({ name: 'pages' as const, body: Buffer.concat([batch, page(3)]) })),
  },
  fc.tuple(fc.constantFrom(...Object.keys(PASSAGE_FRAMES) as PassageFrame[]), fc.array(number, { maxLength: 3 }))
    .map(([name, words]) => ({ name, body: Buffer.concat(words) })),
  fc.uint8Array({ maxLength: 50 }).map((raw) => ({ raw })),
)

describe('whatever the other end of a passage sends', function () {
  this.timeout(0)

  it('the destination QEMU gets the beginning of what the source wrote, and nothing else', async () => {
    let mostBytes = 0
    const inOrder = fc.nat(BODIES.length).map((count) => BODIES.slice(0, count))
    await fc.assert(fc.asyncProperty(inOrder, fc.array(move, { maxLength: 8 }), async (first, moves) => {
      const { end, played } = playedOutgoing({ sources: [sourceWith(HELD)] })
      for (const body of first) played.send('batch', body)
      for (const each of moves) {
        if ('raw' in each) played.lane.write(each.raw)
        else if (each.name === 'damaged') {
          const body = Buffer.from(BODIES[each.at % BODIES.length]!)
          body[each.at % body.length]! ^= each.mask
          played.send('batch', body)
        } else played.send(each.name, each.body)
        await settle(2)
      }
      await settle(10)
      const { received } = end.qemu
      assert.ok(received.equals(STREAM.subarray(0, received.length)))
      assert.ok(end.said.words.length <= 1, 'it fails once, or not at all')
      mostBytes = Math.max(mostBytes, received.length)
      end.passage.stop()
    }), { numRuns: RUNS })
    assert.ok(mostBytes > STREAM.length / 2, 'some runs bring most of it')
  })

  it('the source\'s agent fails once or goes on, and keeps no more than its window', async () => {
    await fc.assert(fc.asyncProperty(fc.array(move, { maxLength: 8 }), async (moves) => {
      const { end, played } = playedIncoming({ init: { known: prefixesOf(HELD) } })
      end.qemu.write(STREAM)
      await settle(3)
      for (const each of moves) {
        if ('raw' in each) played.lane.write(each.raw)
        else if (each.name !== 'damaged') played.send(each.name, each.body)
        await settle(1)
      }
      await settle(5)
      assert.ok(end.said.errors.length <= 1)
      end.passage.stop()
    }), { numRuns: RUNS })
  })
})
