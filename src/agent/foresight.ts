import type { Census } from '../census/index.ts'
import type { GuestMemory } from '../guest/index.ts'
import type { EstimateFindings } from '../handoff/index.ts'
import { PAGE_BYTES, type PageScopes } from '../page/index.ts'
import { rehearse, usualLevel, type CompressionMode } from '../passage/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { predict, type HandoffEstimate } from '../transfer/index.ts'
import type { HandoffRecord, MigrateRequest } from './api.ts'

/** Gathers what a prediction of a handoff needs: the guest's memory as it is now, and earlier handoffs from here. */
export class Foresight {
  readonly #components: { clock: Clock; scopes: PageScopes; census: Census; history: { list(): HandoffRecord[] } }
  readonly #init: { compression: CompressionMode }

  constructor(
    components: { clock: Clock; scopes: PageScopes; census: Census; history: { list(): HandoffRecord[] } },
    init: { compression: CompressionMode },
  ) {
    this.#components = components
    this.#init = init
  }

  /** What a handoff would come to. Rejects with the signal's reason, or with `guest-gone`. */
  async look(
    { to, mode = 'precopy', maxBandwidth, timeoutMs, onTimeout = 'cancel' }: MigrateRequest, memory: GuestMemory,
    { known, publicPages, linkBytesPerSecond, beside, exchangeBytes }: EstimateFindings, signal: AbortSignal,
  ): Promise<Required<Pick<HandoffEstimate, 'expected' | 'obstacles'>>> {
    const { clock, census, history, scopes } = this.#components
    const { hasher } = scopes.of(memory.name)!
    const ramPages = memory.blocks.reduce((sum, { bytes }) => sum + Math.floor(bytes / PAGE_BYTES), 0)
    // A record of an earlier version may lack its pages.
    const past = history.list().filter((move) => move.status === 'completed' && move.direction === 'outgoing' &&
      move.driver === 'qmp' && typeof move.pages?.ref === 'number' && typeof move.pages.literal === 'number')
    const rehearsal = await rehearse({ clock, hasher }, memory, {
      known, publicPages, channels: Math.max(1, beside.multifd),
      level: usualLevel(this.#init.compression, linkBytesPerSecond ?? maxBandwidth),
      residentPages: census.of(memory.name)?.residentPages ?? ramPages,
    }, signal)
    return predict({
      rehearsal, ramPages, to, mode, exchangeBytes, linkBytesPerSecond, bytesPerSecondMax: maxBandwidth, past,
      timeoutMs, onTimeout,
    })
  }
}
