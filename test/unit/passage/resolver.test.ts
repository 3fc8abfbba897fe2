import assert from 'node:assert/strict'

import { ID_BYTES, PAGE_BYTES, type PageHasher, type PageSource } from '../../../src/page/index.ts'
import { OP_LITERAL, OP_RAW, OP_REF, OP_SENT } from '../../../src/passage/batch.ts'
import type { AssembledBatch } from '../../../src/passage/decoder.ts'
import { Resolver } from '../../../src/passage/resolver.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { assembled, hasher, idOf, makeBody, op, page, sourceWith } from '../../support/madepages.ts'
import { settle } from '../../support/passagerelay.ts'
import { SteppedClock } from '../../support/steppedclock.ts'

const { signal } = new AbortController()
const PAGES = [1, 2, 3, 4].map(page)

/** Raw bytes, a literal, four refs, and the literal once more. */
function batch(): AssembledBatch {
  return assembled(makeBody({
    ops: Buffer.concat([op(OP_RAW, 3), op(OP_LITERAL, 1), op(OP_REF, 4), op(OP_SENT, 0)]),
    raw: Buffer.from('abc'), literals: page(9), refIds: Buffer.concat(PAGES.map(idOf)),
    header: { streamBytes: 3 + 6 * PAGE_BYTES },
  }))
}

function resolverOf(...sources: PageSource[]): Resolver {
  return new Resolver({ clock: systemClock, hasher, sources })
}

/** Asserts that these pages are in their places, and that their ids were written down. */
function assertFilled({ stream, pageIds, refPages, pageOffsets }: AssembledBatch, refs: readonly number[]): void {
  for (const ref of refs) {
    const at = pageOffsets[refPages[ref]!]!
    assert.ok(stream.subarray(at, at + PAGE_BYTES).equals(PAGES[ref]!), `page of ref ${ref}`)
    const id = refPages[ref]! * ID_BYTES
    assert.ok(pageIds.subarray(id, id + ID_BYTES).equals(idOf(PAGES[ref]!)), `id of ref ${ref}`)
  }
}

function spoilt(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  copy[PAGE_BYTES - 1]! ^= 1
  return copy
}

describe('the refs of a batch', () => {
  it('are filled from the nearest source that has them', async () => {
    const resident = sourceWith([PAGES[0]!, PAGES[1]!])
    const store = sourceWith([PAGES[1]!, PAGES[2]!, PAGES[3]!], 'store')
    const unasked = sourceWith(PAGES, 'peer')
    const resolver = resolverOf(resident, store, unasked)
    const made = batch()
    assert.deepEqual(await resolver.fill(made, signal), [])
    assertFilled(made, [0, 1, 2, 3])
    assert.deepEqual(resolver.filledBy, { sentBefore: 1, resident: 2, store: 2, peer: 0, source: 0 })
    assert.equal(unasked.asked, 0)
    resolver.filledBy.store = 99
    assert.equal(resolver.filledBy.store, 2)
  })

  it('are lacking if nobody has them, exactly those', async () => {
    const resolver = resolverOf(sourceWith([PAGES[0]!]), sourceWith([PAGES[2]!], 'store'))
    const made = batch()
    assert.deepEqual(await resolver.fill(made, signal), [1, 3])
    assertFilled(made, [0, 2])
    resolver.accept(made, [1, 3], Buffer.concat([PAGES[1]!, PAGES[3]!]))
    assertFilled(made, [0, 1, 2, 3])
    assert.deepEqual(resolver.filledBy, { sentBefore: 1, resident: 1, store: 1, peer: 0, source: 2 })
  })

  it('are had from the next source where one gives wrong pages, and lacking where all do', async () => {
    const wrong = sourceWith(PAGES, 'resident', (bytes) => (bytes.equals(PAGES[0]!) ? bytes : spoilt(bytes)))
    const resolver = resolverOf(wrong, sourceWith([PAGES[1]!], 'store'), sourceWith([PAGES[2]!], 'peer', spoilt))
    const made = batch()
    assert.deepEqual(await resolver.fill(made, signal), [2, 3])
    assertFilled(made, [0, 1])
    assert.deepEqual(resolver.filledBy, { sentBefore: 1, resident: 1, store: 1, peer: 0, source: 0 })
  })

  it('are believed of no source, whatever it says of itself', async () => {
    const liar: PageSource = { ...sourceWith(PAGES, 'store', spoilt), isVerified: true }
    assert.deepEqual(await resolverOf(liar).fill(batch(), signal), [0, 1, 2, 3])
  })

  it('are hashed once each, together with the batch\'s other pages', async () => {
    let hashed = 0
    const counting: PageHasher = {
      ...hasher,
      hashScattered(pages, offsets, count, ids) {
        hashed += count
        hasher.hashScattered(pages, offsets, count, ids)
      },
    }
    const sources = [sourceWith(PAGES.slice(0, 2)), sourceWith(PAGES, 'store')]
    const made = batch()
    await new Resolver({ clock: systemClock, hasher: counting, sources }).fill(made, signal)
    assert.equal(hashed, made.pageCount)
    for (const own of [0, 5]) {
      assert.ok(made.pageIds.subarray(own * ID_BYTES, (own + 1) * ID_BYTES).equals(idOf(page(9))))
    }
  })

  it('are lacking, and the others\' still good, where a source fails', async () => {
    const failing: PageSource = {
      kind: 'store',
      async fill(refs, ...rest) {
        await sourceWith([PAGES[1]!], 'store').fill(refs, ...rest)
        throw new Error('a disk that fails')
      },
    }
    const throwing: PageSource = { kind: 'store', fill: () => { throw new Error('at once') } }
    const made = batch()
    const resolver = resolverOf(sourceWith([PAGES[0]!]), failing, throwing, sourceWith([PAGES[2]!], 'peer'))
    assert.deepEqual(await resolver.fill(made, signal), [1, 3])
    assertFilled(made, [0, 2])
    assert.deepEqual(resolver.filledBy, { sentBefore: 1, resident: 1, store: 0, peer: 1, source: 0 })
  })

  it('wait 2 s for a source that hangs, which is not asked again until it answers', async () => {
    const clock = new SteppedClock()
    const answers: (() => void)[] = []
    const late: PageSource = {
      kind: 'store',
      fill: (refs) => new Promise((resolve) => {
        answers.push(() => {
          // Much later: the memory must not be anybody's.
          refs.bytes.fill(0xee)
          for (let ref = 0; ref < refs.count; ref++) refs.markFilled(ref, 'store')
          resolve()
        })
      }),
    }
    const resolver = new Resolver({ clock, hasher, sources: [sourceWith([PAGES[0]!]), late, sourceWith([PAGES[1]!])] })
    const made = batch()
    let lacking: readonly number[] | undefined
    void resolver.fill(made, signal).then((refs) => { lacking = refs })
    await clock.until(() => lacking !== undefined)
    assert.deepEqual(lacking, [2, 3])
    assert.equal(clock.now(), 2000)
    assert.deepEqual(await resolver.fill(batch(), signal), [2, 3])
    assert.equal(answers.length, 1)
    answers[0]!()
    assertFilled(made, [0, 1])
    await new Promise((resolve) => { setImmediate(resolve) })
    void resolver.fill(batch(), signal)
    await new Promise((resolve) => { setImmediate(resolve) })
    assert.equal(answers.length, 2)
    assert.equal(resolver.filledBy.store, 0)
  })

  it('are written over by no source that answers too late, while others are filled', async () => {
    const clock = new SteppedClock()
    let answerLate: () => void = () => {}
    const late: PageSource = {
      kind: 'store',
      fill: (refs) => new Promise((resolve) => {
        answerLate = () => {
          refs.bytes.fill(0xee)
          resolve()
        }
      }),
    }
    let give: () => void = () => {}
    const slow: PageSource = {
      kind: 'peer',
      async fill(refs, ...rest) {
        await sourceWith(PAGES, 'peer').fill(refs, ...rest)
        await new Promise<void>((resolve) => { give = resolve })
      },
    }
    const resolver = new Resolver({ clock, hasher, sources: [late, slow] })
    let isFilled = false
    void resolver.fill(batch(), signal).then(() => { isFilled = true })
    await clock.until(() => clock.now() === 2000)
    await settle(3)
    give()
    await clock.until(() => isFilled)
    const second = batch()
    const filling = resolver.fill(second, signal)
    await settle(3)
    answerLate()
    give()
    assert.deepEqual(await filling, [])
    assertFilled(second, [0, 1, 2, 3])
  })

  it('are none of many batches: then nobody is asked', async () => {
    const source = sourceWith(PAGES)
    const made = assembled(makeBody({ ops: op(OP_LITERAL, 1), literals: page(9) }))
    assert.deepEqual(await resolverOf(source).fill(made, signal), [])
    assert.equal(source.asked, 0)
    assert.ok(made.pageIds.subarray(0, ID_BYTES).equals(idOf(page(9))))
  })
})
