import type { Member, MeshPart, MessageStream, StreamTraffic, Unsubscribe } from '../../mesh/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { withDeadline } from '../../runtime/wait.ts'
import { LIMITS } from '../limits.ts'
import type { SliceOwners } from '../owners.ts'
import type { Refusals } from '../refusals.ts'
import { decodeReportFrame, encodeAnswer, REPORT_PROTOCOL, type Answer, type ReportHead } from './reportcodec.ts'
import { ReportGroups } from './reportgroups.ts'
import type { ReportTable } from './reporttable.ts'

/** How long an origin may take for its report, ms: longer than its own time limit. */
const REPORT_TIMEOUT_MS = 25_000

interface Parts {
  mesh: MeshPart
  clock: Clock
  owners: SliceOwners
  table: ReportTable
  traffic: StreamTraffic
  refusals: Refusals
}

interface Init {
  /** Processes member changes that still wait for quiet: an origin may have processed them already. */
  catchUp: () => void
  /** Whether hosts know the same members by now, so that a report to a wrong owner is a fault. */
  isSettled: () => boolean
  /** A report arrived with pages of these slices. */
  changed: (slices: Uint16Array) => void
  /** A member that knows nothing of this host asks for its report. */
  asked: (member: Member) => void
}

/** Takes the reports of other hosts for the slices that this one owns. */
export class ReportServer {
  readonly #parts: Parts
  readonly #init: Init
  /** Origins whose report is arriving: one at a time per origin. */
  readonly #busy = new Set<string>()

  constructor(parts: Parts, init: Init) {
    this.#parts = parts
    this.#init = init
  }

  listen(signal: AbortSignal): Unsubscribe {
    return this.#parts.mesh.handle(REPORT_PROTOCOL, (stream, from) => this.#serve(stream, from, signal))
  }

  async #serve(stream: MessageStream, from: Member, signal: AbortSignal): Promise<void> {
    const { refusals, clock } = this.#parts
    if (this.#busy.has(from.name)) {
      refusals.refuse('busy', from, 0)
      throw refused('another report of this host is still arriving')
    }
    if (!refusals.isTrusted(from)) {
      refusals.refuse('untrusted', from, 0)
      throw refused('this host has lost its standing')
    }
    this.#busy.add(from.name)
    const late = (): Error => {
      refusals.refuse('too-slow', from, 0)
      return refused('it took too long')
    }
    try {
      await withDeadline(clock, { signal, limitMs: REPORT_TIMEOUT_MS, late }, async (within) => {
        // After `need-whole` the origin continues in the same stream; the end of the stream ends this loop.
        while (await this.#takeReport(stream, from, within));
      })
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'bad-report') {
        refusals.refuse(String(error.data.reason), from, 1)
      }
      throw error
    } finally {
      this.#busy.delete(from.name)
    }
  }

  /** Whether another report may follow. */
  async #takeReport(stream: MessageStream, from: Member, signal: AbortSignal): Promise<boolean> {
    const { table, traffic, refusals } = this.#parts
    const groups = new ReportGroups()
    let frame = decodeReportFrame(await traffic.receive(stream, signal), groups)
    if (frame === 'ask') {
      this.#init.asked(from)
      return false
    }
    for (let frames = 1; !frame.isLast; frames++) {
      const next = decodeReportFrame(await traffic.receive(stream, signal), groups)
      if (frames >= LIMITS.framesPerReport) throw bad('too-large', 'A report of pages has no end.')
      if (next === 'ask' || !isSameReport(next, frame)) {
        throw bad('contradictory', 'The frames of a report do not belong together.')
      }
      frame = next
    }
    if (!this.#ownsAll(groups)) this.#init.catchUp()
    const answer = this.#ownsAll(groups) ? table.apply(from.name, frame, groups) : 'not-owner'
    if (answer === 'accepted') this.#init.changed(groups.slices.subarray(0, groups.groupCount))
    this.#note(answer, from, refusals)
    await traffic.send(stream, encodeAnswer(answer), signal)
    return answer === 'need-whole'
  }

  #note(answer: Answer, from: Member, refusals: Refusals): void {
    if (answer === 'not-owner') refusals.refuse('not-owner', from, this.#init.isSettled() ? 0.25 : 0)
    if (answer === 'refused') refusals.refuse('stale', from, 0.25)
    if (answer === 'full') refusals.refuse('full', from, 0)
  }

  /**
   * Whether this host ranks for all slices of the report; by the origin's view, ranks just below the owners may own
   * them.
   */
  #ownsAll(groups: ReportGroups): boolean {
    const { owners, mesh } = this.#parts
    for (let group = 0; group < groups.groupCount; group++) {
      if (owners.rankOf(mesh.self.name, groups.slices[group]!) < 0) return false
    }
    return true
  }
}

function isSameReport(one: ReportHead, other: ReportHead): boolean {
  return one.incarnation === other.incarnation && one.number === other.number && one.base === other.base
}

function refused(why: string): PagemeshError {
  return new PagemeshError('report-refused', `A report was refused: ${why}.`, { fault: 'peer', phase: 'reporting' })
}

function bad(reason: string, message: string): PagemeshError {
  return new PagemeshError('bad-report', message, { fault: 'peer', phase: 'reporting', data: { reason } })
}
