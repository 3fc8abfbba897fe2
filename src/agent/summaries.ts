import { readFile } from 'node:fs/promises'
import { freemem, totalmem } from 'node:os'

import type { Member, Mesh, MessageStream } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, describeError, PagemeshError } from '../runtime/errors.ts'
import { someAtOnce, withDeadline, withTimeout } from '../runtime/wait.ts'
import {
  decodeSummary, decodeSummaryRequest, encodeSummary, encodeSummaryRequest, SUMMARY_PROTOCOL, type HostSummary,
  type MemoryRoom,
} from './summary.ts'

/** How long a member may take to answer. */
const ANSWER_MS_MAX = 3000
/** Members that are asked at once. */
const ASKED_AT_ONCE = 16
/** Members that are answered at once: who asks more is turned away with a broken stream, and says so. */
const ANSWERED_AT_ONCE = 32
/** Of these, by one member: it cannot take the turns of all others. */
const ANSWERED_EACH = 4
/** An answer that is no older serves whoever looks at the page meanwhile. */
const FRESH_MS = 1000

/** A cluster as one of its hosts sees it. */
export interface ClusterView {
  /** This host first, then those that answered, by name. */
  hosts: HostSummary[]
  /** Members that did not answer, and why, as a sentence. */
  silent: { host: string; why: string }[]
}

/** Asks members what they are at, and tells them the same of this host. */
export class Summaries {
  readonly #mesh: Mesh
  readonly #clock: Clock
  readonly #own: (fresh: boolean) => Promise<HostSummary>
  /** Peer ids of the members that are answered now. */
  readonly #answering: string[] = []
  #view: { at: number; whole: Promise<ClusterView> } | undefined

  constructor(components: { mesh: Mesh; clock: Clock }, init: { own: (fresh: boolean) => Promise<HostSummary> }) {
    this.#mesh = components.mesh
    this.#clock = components.clock
    this.#own = init.own
  }

  /** All hosts of the mesh, at most a second old. Never rejects for a member's sake. */
  async all(): Promise<ClusterView> {
    const now = this.#clock.now()
    if (this.#view === undefined || now - this.#view.at >= FRESH_MS) {
      this.#view = { at: now, whole: this.#ask(this.#mesh.members(), false) }
    }
    return await this.#view.whole
  }

  /** The hosts of these names, their guests' states asked for anew. */
  async fresh(members: readonly Member[]): Promise<ClusterView> {
    return await this.#ask(members, true)
  }

  /** Answers a member. */
  async answer(stream: MessageStream, { peerId }: Pick<Member, 'peerId'>): Promise<void> {
    const ownCount = this.#answering.filter((one) => one === peerId).length
    if (this.#answering.length >= ANSWERED_AT_ONCE || ownCount >= ANSWERED_EACH) {
      throw new Error('too many members ask for a summary at once')
    }
    this.#answering.push(peerId)
    try {
      const { fresh } = decodeSummaryRequest(await withTimeout(this.#clock, stream.receive(), ANSWER_MS_MAX, {
        phase: 'summary', fault: 'peer', message: 'A member asked for nothing.',
      }))
      await stream.send(encodeSummary(await this.#own(fresh)))
    } finally {
      this.#answering.splice(this.#answering.indexOf(peerId), 1)
    }
  }

  async #ask(members: readonly Member[], fresh: boolean): Promise<ClusterView> {
    const hosts: HostSummary[] = []
    const silent: ClusterView['silent'] = []
    const asking = someAtOnce(members, ASKED_AT_ONCE, async (member) => {
      try {
        hosts.push(await this.#askOne(member, fresh))
      } catch (error) {
        silent.push({ host: member.name, why: describeError(asPagemeshError(error)) })
      }
    })
    const [own] = await Promise.all([this.#own(fresh), asking])
    return { hosts: [own, ...hosts.sort(byHost)], silent: silent.sort(byHost) }
  }

  async #askOne({ name }: Member, fresh: boolean): Promise<HostSummary> {
    const late = (): Error => new PagemeshError('timeout', `${name} did not answer in time.`, { fault: 'peer' })
    const { signal } = new AbortController()
    return await withDeadline(this.#clock, { signal, limitMs: ANSWER_MS_MAX, late }, async (signal) => {
      const stream = await this.#mesh.open(name, SUMMARY_PROTOCOL, signal)
      try {
        await stream.send(encodeSummaryRequest({ fresh }), signal)
        return decodeSummary(await stream.receive(signal), name)
      } finally {
        // The answer was the last word.
        await stream.close().catch(() => undefined)
      }
    })
  }
}

function byHost(one: { host: string }, other: { host: string }): number {
  return one.host < other.host ? -1 : 1
}

/** Memory of this host. The kernel's own estimate counts what it can take back from its caches. */
export async function readMemory(): Promise<MemoryRoom> {
  try {
    const available = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'))?.[1]
    if (available !== undefined) return { totalBytes: totalmem(), availableBytes: Number(available) * 1024 }
  } catch {
    // Without /proc, what nobody uses is what there is.
  }
  return { totalBytes: totalmem(), availableBytes: freemem() }
}
