/**
 * One host asks another for the popular pages that it knows: a newcomer asks any neighbour for all slices, a host that
 * missed a bulletin asks the publisher for some.
 *
 *   asker                    other
 *     request  ------------->              all slices, or those listed
 *              <-------------  part*       whole groups (bulletincodec.ts); the last one says so
 *
 *   request = version kind [count gap*]   version = 8 bits, 1   kind = 8 bits: 1 all, 2 some
 *   count = 13 bits                       gap = gamma: slice - slice before, from -1
 */
import { BitReader, BitWriter } from '../../bytes/bits.ts'
import type { Member, MeshPart, MessageStream, StreamTraffic, Unsubscribe } from '../../mesh/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { nextTurn } from '../../runtime/turn.ts'
import { withDeadline } from '../../runtime/wait.ts'
import { LIMITS } from '../limits.ts'
import { popularityRank, PopularRun } from '../popularrun.ts'
import type { Refusals } from '../refusals.ts'
import { SLICE_COUNT } from '../slice.ts'
import { decodeViewPart, encodeViewPart, pageBitsMax } from './bulletincodec.ts'
import type { BulletinGroup } from './bulletingroups.ts'

export const VIEW_PROTOCOL = '/pagemesh/view/2'

const VERSION = 1
const KIND = { all: 1, some: 2 } as const
/** How long the other may take for the next message, ms. */
const MESSAGE_TIMEOUT_MS = 20_000
/** How long an answer may take in all, on either side, ms: a slow peer must not keep this host waiting or busy. */
const ANSWER_TIMEOUT_MS = 60_000
/**
 * Members that are answered at the same time, one request each; the stream of any other is broken, and it tries later.
 */
const ANSWERS_MAX = 8
/** Groups of a message, and what a group takes besides its pages at most: with a tag of its publisher. */
const PART_GROUPS = 512
const GROUP_BITS = 160

type Slices = readonly number[] | 'all'

interface Parts {
  mesh: MeshPart
  clock: Clock
  traffic: StreamTraffic
  refusals: Refusals
}

export class ViewExchange {
  readonly #parts: Parts
  readonly #answering = new Set<string>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Asks a member, and passes each group of the answer to `learn`. Rejects if the answer is faulty or late. */
  async ask(
    member: Member, slices: Slices, learn: (group: BulletinGroup, from: Member) => void, signal: AbortSignal,
  ): Promise<void> {
    const { mesh, clock, traffic, refusals } = this.#parts
    if (!refusals.isTrusted(member)) throw new Error('the member has lost its standing')
    const stream = await mesh.open(member.name, VIEW_PROTOCOL, signal)
    const endsAt = clock.now() + ANSWER_TIMEOUT_MS
    try {
      await traffic.send(stream, encodeRequest(slices), signal)
      for (let parts = 1; ; parts++) {
        const { groups, isLast } = decodeViewPart(await this.#receive(stream, signal))
        for (const group of groups) learn(group, member)
        if (isLast) break
        if (parts === LIMITS.framesPerView) throw tooLong()
        if (clock.now() > endsAt) throw new Error('the answer takes too long')
        await nextTurn()
      }
      await stream.close()
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'bad-bulletin') {
        refusals.refuse(String(error.data.reason), member, 1)
      }
      stream.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  /** Answers such requests with the groups of `wholeOf`; slices of which this host knows nothing are left out. */
  listen(wholeOf: (slice: number) => BulletinGroup | undefined, signal: AbortSignal): Unsubscribe {
    const { mesh, clock, refusals } = this.#parts
    return mesh.handle(VIEW_PROTOCOL, async (stream, from) => {
      if (!refusals.isTrusted(from)) {
        refusals.refuse('untrusted', from, 0)
        throw new Error('the member has lost its standing')
      }
      const isBusy = this.#answering.has(from.name) || this.#answering.size === ANSWERS_MAX
      if (isBusy) throw new Error('too many members ask at once')
      this.#answering.add(from.name)
      const late = (): Error => new Error('the answer takes too long')
      try {
        await withDeadline(clock, { signal, limitMs: ANSWER_TIMEOUT_MS, late }, (within) => {
          return this.#answer(stream, from, wholeOf, within)
        })
      } finally {
        this.#answering.delete(from.name)
      }
    })
  }

  async #answer(
    stream: MessageStream, from: Member, wholeOf: (slice: number) => BulletinGroup | undefined, signal: AbortSignal,
  ): Promise<void> {
    const { traffic, refusals } = this.#parts
    const request = decodeRequest(await this.#receive(stream, signal))
    if (request === undefined) {
      refusals.refuse('malformed', from, 1)
      throw new Error('the request cannot be read')
    }
    const slices = request === 'all' ? Array.from({ length: SLICE_COUNT }, (_, slice) => slice) : request
    let groups: BulletinGroup[] = []
    let bytes = 0
    const flush = async (isLast: boolean): Promise<void> => {
      await traffic.send(stream, encodeViewPart(groups, isLast), signal)
      groups = []
      bytes = 0
      if (!isLast) await nextTurn()
    }
    for (const slice of slices) {
      const group = wholeOf(slice)
      if (group === undefined) continue
      const pages = best(group.pages, LIMITS.pagesPerSlice)
      const groupBytes = bytesOf(pages)
      if (bytes + groupBytes > LIMITS.frameBytes || groups.length === PART_GROUPS) await flush(false)
      groups.push({ ...group, pages })
      bytes += groupBytes
    }
    await flush(true)
  }

  #receive(stream: MessageStream, signal: AbortSignal): Promise<Uint8Array> {
    const { clock, traffic } = this.#parts
    const late = (): Error => new Error('no message in time')
    return withDeadline(clock, { signal, limitMs: MESSAGE_TIMEOUT_MS, late }, (within) => {
      return traffic.receive(stream, within)
    })
  }
}

export function encodeRequest(slices: Slices): Uint8Array {
  const out = new BitWriter()
  out.writeBits(VERSION, 8)
  out.writeBits(slices === 'all' ? KIND.all : KIND.some, 8)
  if (slices === 'all') return out.finish()
  out.writeBits(slices.length, 13)
  let before = -1
  for (const slice of slices) {
    out.writeGamma(slice - before)
    before = slice
  }
  return out.finish()
}

/** Undefined if it cannot be read. */
export function decodeRequest(bytes: Uint8Array): Slices | undefined {
  const input = new BitReader(bytes)
  const version = input.readBits(8)
  const kind = input.readBits(8)
  if (version !== VERSION || (kind !== KIND.all && kind !== KIND.some)) return undefined
  if (kind === KIND.all) return bytes.length === 2 ? 'all' : undefined
  const slices: number[] = []
  let slice = -1
  for (let remaining = input.readBits(13); remaining > 0; remaining--) {
    slice += input.readGamma()
    if (input.exhausted || !(slice < SLICE_COUNT)) return undefined
    slices.push(slice)
  }
  return input.exhausted || input.bitsLeft >= 8 ? undefined : slices
}

/** The `countMax` most popular pages of a slice, still in rising order. */
function best(pages: PopularRun, countMax: number): PopularRun {
  if (pages.count <= countMax) return pages
  const { hosts, guests } = pages
  const ranks = Float64Array.from({ length: pages.count }, (_, page) => popularityRank(hosts[page]!, guests[page]!))
  const sorted = ranks.toSorted()
  const least = sorted[pages.count - countMax]!
  // Of the pages of the least rank, as many as fit beside the more popular ones.
  let leastRemaining = sorted.lastIndexOf(least) + 1 - (pages.count - countMax)
  const kept = new PopularRun(countMax)
  for (let page = 0; page < pages.count; page++) {
    if (ranks[page]! > least || (ranks[page] === least && leastRemaining-- > 0)) kept.copy(pages, page)
  }
  return kept
}

function bytesOf({ count, hosts, guests }: PopularRun): number {
  let bits = GROUP_BITS
  for (let page = 0; page < count; page++) bits += pageBitsMax(hosts[page]!, Math.max(hosts[page]!, guests[page]!))
  return bits / 8
}

function tooLong(): PagemeshError {
  return new PagemeshError('bad-bulletin', 'A view of popular pages does not end.', {
    fault: 'peer', phase: 'gossip', data: { reason: 'too-large' },
  })
}
