import assert from 'node:assert/strict'

import fc from 'fast-check'

import { decodeBulletin } from '../../../../src/popularity/bulletin/bulletincodec.ts'
import { checksumOf, GROUP_KIND, type BulletinGroup } from '../../../../src/popularity/bulletin/bulletingroups.ts'
import { applied, difference } from '../../../../src/popularity/bulletin/difference.ts'
import { Publisher } from '../../../../src/popularity/bulletin/publisher.ts'
import { popularityRank, PopularRun } from '../../../../src/popularity/popularrun.ts'
import { SLICE_COUNT } from '../../../../src/popularity/slice.ts'
import { seededRandom } from '../../../support/random.ts'
import { isClose, popularPagesOf, popularRunOf, restsOf, type PopularPage } from '../made.ts'

const SELF = 0x1234_5678
const INCARNATION = 77
const SLICES = [0, 1, 2, 900, SLICE_COUNT - 1]
const RESTS = restsOf(seededRandom(6), 40)

/** What all others know who hear every message. */
class Listener {
  readonly runs = new Map<number, PopularRun>()
  readonly versions = new Map<number, number>()

  contents(slice: number): PopularRun {
    return this.runs.get(slice) ?? new PopularRun(0)
  }

  hear(groups: readonly BulletinGroup[]): void {
    for (const { slice, kind, version, pages, checksum } of groups) {
      const known = this.versions.get(slice) ?? 0
      if (kind === GROUP_KIND.still) {
        assert.equal(version, known, 'still at the version that was said')
        continue
      }
      assert.equal(version, known + 1, 'versions rise by one')
      if (kind === GROUP_KIND.takeover) assert.equal(checksum, checksumOf(this.contents(slice)))
      const run = new PopularRun(0)
      applied(kind === GROUP_KIND.whole ? new PopularRun(0) : this.contents(slice), pages, run)
      this.runs.set(slice, run)
      this.versions.set(slice, version)
    }
  }
}

const page = fc.record({
  hosts: fc.integer({ min: 2, max: 40 }), more: fc.nat(20),
  holders: fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 }),
})
const pages = fc.subarray(RESTS).chain((rests) => fc.tuple(...rests.map((rest) =>
  page.map(({ more, ...one }): PopularPage => ({ rest, ...one, guests: one.hosts + more })))))

const slice = fc.constantFrom(...SLICES)
const steps = fc.array(fc.oneof(
  { weight: 4, arbitrary: fc.record({ step: fc.constant('want' as const), slice, pages }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('leave' as const), slice }) },
  { weight: 4, arbitrary: fc.record({ step: fc.constant('say' as const), listsAll: fc.boolean() }) },
), { maxLength: 25 })

/** A publisher, what is wanted of it, and one who listens; `say` checks each message. */
class Conversation {
  readonly listener = new Listener()
  readonly publisher: Publisher
  saidBytes = 0
  readonly #bytesMax: number
  readonly #wanted = new Map<number, PopularRun>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
    this.publisher = new Publisher({ bytesMax, incarnation: INCARNATION })
  }

  want(slice: number, run: PopularRun): void {
    if (!this.publisher.publishes(slice)) this.publisher.begin(slice, this.listener.contents(slice))
    this.#wanted.set(slice, run)
    this.publisher.touch(slice)
  }

  say(listsAll: boolean): BulletinGroup[] | undefined {
    const before = this.#left()
    const message = this.publisher.compose((slice, into) => {
      for (let index = 0; index < this.#wanted.get(slice)!.count; index++) into.copy(this.#wanted.get(slice)!, index)
    }, SELF, listsAll)
    if (message === undefined) return undefined
    assert.ok(message.length <= this.#bytesMax, `${message.length} bytes`)
    const { incarnation, groups } = decodeBulletin(message, SELF)
    assert.equal(incarnation, INCARNATION)
    this.listener.hear(groups)
    const left = this.#left()
    const isLeft = new Set(left)
    this.saidBytes += message.length
    assert.ok(before.length === 0 || left.length < before.length, 'each message brings the others nearer')
    // What is still left to say is no better than the least of what was said.
    const said = before.filter((one) => !isLeft.has(one)).map((one) => Number(one.split(' ')[0]))
    const leftRanks = left.map((one) => Number(one.split(' ')[0]))
    const mostLeft = leftRanks.reduce((most, rank) => Math.max(most, rank), 0)
    assert.ok(said.every((rank) => rank >= mostLeft))
    return groups
  }

  /** Changes that the listener has not heard of what is published, each with its rank in front. */
  #left(): string[] {
    return [...this.#wanted].filter(([slice]) => this.publisher.publishes(slice)).flatMap(([slice, run]) => {
      const changes = new PopularRun(0)
      difference(this.listener.contents(slice), run, changes)
      return popularPagesOf(changes)
        .map(({ rest, hosts, guests }) => `${popularityRank(hosts, guests)} ${slice} ${rest}`)
    })
  }

  assertEqual(): void {
    assert.deepEqual(this.#left(), [])
    for (const [slice, run] of this.#wanted) {
      if (!this.publisher.publishes(slice)) continue
      const known = popularPagesOf(this.listener.contents(slice))
      const wanted = popularPagesOf(run)
      assert.equal(known.length, wanted.length)
      for (const [index, one] of known.entries()) assert.ok(isClose(one, wanted[index]!))
      assert.deepEqual(popularPagesOf(this.publisher.whole(slice, SELF)!.pages), known)
      assert.equal(this.publisher.whole(slice, SELF)!.version, this.listener.versions.get(slice))
    }
  }
}

describe('a publisher', () => {
  it('says whatever is wanted, best first, in messages that fit', () => {
    fc.assert(fc.property(steps, fc.constantFrom(220, 400, 1000, 32 * 1024), (list, bytesMax) => {
      const talk = new Conversation(bytesMax)
      for (const step of list) {
        if (step.step === 'want') talk.want(step.slice, popularRunOf(step.pages))
        else if (step.step === 'leave') talk.publisher.leave(step.slice)
        else talk.say(step.listsAll)
      }
      for (let messages = 0; talk.publisher.isBehind; messages++) {
        talk.say(false)
        assert.ok(messages < 400, 'it comes to an end')
      }
      talk.assertEqual()
      assert.equal(talk.say(false), undefined, 'nothing is left to say')
    }), { numRuns: 200 })
  })

  it('lists what did not change with its version, if it is asked to', () => {
    const talk = new Conversation(1000)
    talk.want(3, popularRunOf([{ rest: 1, guests: 2, hosts: 2, holders: [1, 2, 0] }]))
    talk.want(9, popularRunOf([]))
    assert.deepEqual(talk.say(true)!.map(({ slice: said, kind, version }) => [said, kind, version]),
      [[3, GROUP_KIND.whole, 1], [9, GROUP_KIND.whole, 1]])
    assert.deepEqual(talk.say(true)!.map(({ slice: said, kind, version }) => [said, kind, version]),
      [[3, GROUP_KIND.still, 1], [9, GROUP_KIND.still, 1]])
    assert.equal(talk.say(false), undefined)
  })

  it('says what a mesh knows already by its checksum', () => {
    const talk = new Conversation(1000)
    const known = popularRunOf([1, 5].map((rest) => ({ rest, guests: 2, hosts: 2, holders: [1, 2, 0] })))
    talk.listener.runs.set(3, known)
    talk.want(3, popularRunOf([{ rest: 5, guests: 2, hosts: 2, holders: [1, 2, 0] }]))
    const [group] = talk.say(false)!
    assert.deepEqual([group!.kind, group!.checksum, group!.pages.count], [GROUP_KIND.takeover, checksumOf(known), 1])
    talk.assertEqual()
  })

  it('fills its messages with a real load, and is done with it in as few as that takes', () => {
    const random = seededRandom(4)
    const talk = new Conversation(32 * 1024)
    let count = 0
    for (let number = 0; number < 300; number++) {
      const list = restsOf(random, 60).map((rest) => {
        const hosts = 2 + Math.floor(random() ** 3 * 20)
        const holders = [1, 2, 3].map(() => 1 + Math.floor(random() * 50))
        return { rest, hosts, guests: hosts + Math.floor(random() * 4), holders }
      })
      count += list.length
      talk.want(number * 13, popularRunOf(list))
    }
    let messages = 0
    for (; talk.publisher.isBehind; messages++) talk.say(true)
    talk.assertEqual()
    const pagesPerMessage = count / messages
    console.log(`      ${count} pages in ${messages} messages, ${Math.round(talk.saidBytes / messages)} bytes each`)
    assert.ok(pagesPerMessage > 1800)
  })
})
