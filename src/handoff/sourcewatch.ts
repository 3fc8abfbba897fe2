import type { GuestState } from '../guest/index.ts'
import { behind } from '../runtime/behind.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { HandoffMeasure, HandoffPhase } from '../transfer/index.ts'
import type { OutgoingDriver } from './driver.ts'
import type { OutgoingChannels } from './outgoingchannels.ts'
import type { OutgoingTally } from './tally.ts'

const PROGRESS_EVERY_MS = 250

/** Watches the source QEMU while it sends: its progress and the guest's run state. */
export class SourceWatch {
  readonly #components: { clock: Clock; log: Log }
  readonly #parts: { driver: OutgoingDriver; channels: OutgoingChannels; tally: OutgoingTally }
  readonly #onMeasure: (measure: Omit<HandoffMeasure, 'phase'>) => void
  #poll: Timer | undefined
  /** The guest's last observed run state before switchover. The stream's own report takes precedence. */
  ran: GuestState | undefined

  constructor(
    components: { clock: Clock; log: Log },
    parts: { driver: OutgoingDriver; channels: OutgoingChannels; tally: OutgoingTally },
    onMeasure: (measure: Omit<HandoffMeasure, 'phase'>) => void,
  ) {
    this.#components = components
    this.#parts = parts
    this.#onMeasure = onMeasure
  }

  start(isSending: () => boolean): void {
    this.#poll = this.#components.clock.every(PROGRESS_EVERY_MS, () => {
      if (isSending()) behind(this.#components.log, 'the source QEMU does not say how far it is', this.#look())
    })
  }

  stop(): void {
    this.#poll?.cancel()
  }

  async #look(): Promise<void> {
    const { driver, channels, tally } = this.#parts
    const said = await driver.progress()
    if (said === undefined) return
    tally.qemu = said
    if (!channels.isSwitchingOver) {
      const state = await driver.state()
      if (state !== 'finish-migrate' && state !== 'postmigrate') this.ran = state
    }
    const { counts } = channels
    this.#onMeasure({
      remainingBytes: said.remainingBytes, totalBytes: said.totalBytes,
      passes: said.dirtySyncCount, dirtyBytesPerSecond: said.dirtyBytesPerSecond,
      qemuBytes: counts.reduce((sum, { streamBytes }) => sum + streamBytes, 0),
      wireBytes: counts.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
    })
  }

  /** Reads QEMU's last counts before its session closes; with `isKept`, the guest's run state too. */
  async finish(isKept: boolean): Promise<void> {
    const { driver, tally } = this.#parts
    try {
      tally.qemu = await driver.progress() ?? tally.qemu
      if (isKept) tally.here = await driver.stateAtRest()
    } catch (error) {
      this.#components.log.debug('the source QEMU does not say what it is doing', { error: describeError(error) })
    }
  }
}

/** The phase in an operator's words. */
export function phaseOf(at: string, isSwitchingOver: boolean): HandoffPhase {
  switch (at) {
    case 'moving': case 'stopping': case 'orphaned': return isSwitchingOver ? 'switchover' : 'precopy'
    case 'handingOver': return 'switchover'
    case 'serving': return 'postcopy'
    case 'leaving': case 'unconfirmed': case 'takingBack': case 'over': return 'finishing'
    default: return 'preparing'
  }
}
