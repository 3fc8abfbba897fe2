import type { IncomingSummary, OutgoingEnding, RunState, SpentBytes } from '../conversation/index.ts'
import type { GuestState, MigrationMode, MigrationProgress } from '../guest/index.ts'
import type { OutgoingPassageCounts } from '../passage/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { addStreams, failedResult, type HandoffResult } from '../transfer/index.ts'
import { wordsOf } from './words.ts'

/** Collects an outgoing handoff's counts and times for its result. */
export class OutgoingTally {
  readonly #clock: Clock
  readonly #startedAt: number
  readonly #about: Pick<HandoffResult, 'guest' | 'from' | 'to' | 'mode'>
  mode: MigrationMode
  /** Bytes of messages outside lanes. */
  offerBytes = 0
  answerBytes = 0
  /** QEMU's last report on its migration. */
  qemu: MigrationProgress | undefined
  /** The guest's run state at the source, once the source keeps it. */
  here: GuestState | undefined
  /** Why no page was a reference to one that the destination had. */
  apart: string | undefined
  #runState: RunState = 'unknown'
  #givenUpAt: number | undefined
  #arrivedAt: number | undefined
  #summary: IncomingSummary | undefined

  constructor(
    components: { clock: Clock }, about: { guest: string; from: string; to: string; mode: MigrationMode },
  ) {
    this.#clock = components.clock
    this.#startedAt = components.clock.now()
    this.#about = about
    this.mode = about.mode
  }

  givenUp(runState: RunState): void {
    this.#givenUpAt ??= this.#clock.now()
    this.#runState = runState
  }

  arrived(summary: IncomingSummary | undefined): void {
    this.#arrivedAt ??= this.#clock.now()
    this.#summary = summary ?? this.#summary
  }

  result(
    ending: OutgoingEnding,
    bytes: {
      sentBytes: number
      receivedBytes: number
      channels: readonly OutgoingPassageCounts[]
      urgentBytes: number
      spent: SpentBytes
    },
  ): HandoffResult {
    const { channels, urgentBytes, spent } = bytes
    const result: HandoffResult = {
      ...failedResult({ ...this.#about, mode: this.mode }),
      ...wordsOf(ending, { ...this.#about, here: this.here }),
      totalMs: Math.round(this.#clock.now() - this.#startedAt),
      wireBytes: bytes.sentBytes + this.offerBytes,
      receivedWireBytes: bytes.receivedBytes + this.answerBytes,
      ...(this.apart === undefined ? {} : { apart: this.apart }),
    }
    for (const { sentBytes, receivedBytes } of channels) {
      result.wireBytes += sentBytes
      result.receivedWireBytes += receivedBytes
    }
    addStreams(result, { channels, urgentBytes, summary: this.#summary, spent })
    if (ending.as === 'completed') result.downtimeMs = this.#downtimeMs()
    return result
  }

  /** Null for a guest that did not run. */
  #downtimeMs(): number | null {
    if (this.#runState !== 'running' || this.#givenUpAt === undefined || this.#arrivedAt === undefined) return null
    // In post-copy the destination says so long after the guest ran there: its summary tells how long the release took.
    const releaseMs = this.mode === 'precopy' ? this.#arrivedAt - this.#givenUpAt : this.#summary?.releaseMs ?? 0
    return Math.round((this.qemu?.downtimeMs ?? 0) + releaseMs)
  }
}
