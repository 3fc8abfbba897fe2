import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { ChangeListener } from './changelisteners.ts'
import { discoverGuests, type DiscoveredGuest, type GuestDiscovery, type UnusableGuest } from './discovery.ts'
import { ProcessDiscovery } from './processdiscovery.ts'
import type { Managed } from './qemuscan.ts'

export interface AllDiscoveryInit {
  /** Patterns of QMP sockets. */
  globs: readonly string[]
  /** Managers whose QEMUs are also found by process. */
  managed: Managed | 'off'
}

/** Lists this host's guests, found by QMP socket or by process. */
export function discoverAll(
  components: { clock: Clock; log: Log }, { globs, managed }: AllDiscoveryInit,
): GuestDiscovery {
  const sockets = discoverGuests(components, { globs })
  if (managed === 'off') return sockets
  const processes = new ProcessDiscovery({ ...components, others: () => sockets.guests() }, { managed })
  return new JoinedDiscovery({ sockets, processes })
}

/** Joins both ways of discovery. For a guest that both find, the QMP socket wins. */
class JoinedDiscovery implements GuestDiscovery {
  readonly #sockets: GuestDiscovery
  readonly #processes: ProcessDiscovery

  constructor({ sockets, processes }: { sockets: GuestDiscovery; processes: ProcessDiscovery }) {
    this.#sockets = sockets
    this.#processes = processes
    // Registered first: the process guest is removed before others hear of the QMP guest.
    sockets.onChange((change, guest) => { if (change === 'added') processes.yieldTo(guest) })
  }

  guests(): DiscoveredGuest[] {
    return [...this.#sockets.guests(), ...this.#processes.guests()]
  }

  unusable(): UnusableGuest[] {
    return [...this.#sockets.unusable(), ...this.#processes.unusable()]
  }

  async refresh(): Promise<void> {
    await this.#sockets.refresh()
    await this.#processes.refresh()
  }

  onChange(listener: ChangeListener): () => void {
    const ends = [this.#sockets.onChange(listener), this.#processes.onChange(listener)]
    return () => ends.forEach((end) => end())
  }

  async start(): Promise<void> {
    await this.#sockets.start()
    await this.#processes.start()
  }

  async stop(): Promise<void> {
    await this.#processes.stop()
    await this.#sockets.stop()
  }
}
