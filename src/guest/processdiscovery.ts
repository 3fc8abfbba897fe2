import { RIGHTS_ADVICE } from '../host/rights.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { ChangeListeners, type ChangeListener } from './changelisteners.ts'
import type { DiscoveredGuest, GuestDiscovery, UnusableGuest } from './discovery.ts'
import { Looking } from './looking.ts'
import { ManagedGuest } from './managedguest.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { scanQemus, type Managed, type ScannedQemu } from './qemuscan.ts'

const POLL_MS = 5_000
/** Most guests of managers; further QEMUs are skipped with a warning. */
const GUESTS_MAX = 4_096
/** Longer names are cut. */
const NAME_CHARACTERS_MAX = 256
/** Refusals of a process before it is reported: a process that has just started has no guest memory yet. */
const REFUSALS_MIN = 2

interface Found {
  guest: ManagedGuest
  line: string
}

interface Refused {
  process: ProcessIdentity
  count: number
  code: string
  reason: string
}

/** Watches this host's processes and lists the QEMUs that a manager drives. */
export class ProcessDiscovery implements GuestDiscovery {
  readonly #log: Log
  readonly #others: () => readonly DiscoveredGuest[]
  readonly #managed: Managed
  readonly #found = new Map<number, Found>()
  readonly #refused = new Map<number, Refused>()
  readonly #listeners = new ChangeListeners()
  /** Warnings that are logged only once. */
  readonly #said = new Set<string>()
  readonly #looking: Looking

  /** `others`: guests found by QMP socket, which take precedence. */
  constructor(
    { clock, log, others }: { clock: Clock; log: Log; others: () => readonly DiscoveredGuest[] },
    { managed }: { managed: Managed },
  ) {
    this.#log = log
    this.#others = others
    this.#managed = managed
    this.#looking = new Looking({ clock, log }, {
      everyMs: POLL_MS, failure: 'looking for QEMUs failed', lookOnce: () => this.#lookOnce(),
    })
  }

  guests(): DiscoveredGuest[] {
    return [...this.#found.values()].map(({ guest }) => guest).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  unusable(): UnusableGuest[] {
    return [...this.#refused].filter(([, { count }]) => count >= REFUSALS_MIN)
      .map(([pid, { code, reason }]) => ({ path: `/proc/${pid}`, code, reason }))
  }

  async refresh(): Promise<void> {
    await this.#looking.ended()
    await this.#looking.look()
  }

  onChange(listener: ChangeListener): () => void {
    return this.#listeners.add(listener)
  }

  start(): Promise<void> {
    return this.#looking.start()
  }

  async stop(): Promise<void> {
    await this.#looking.stop()
    for (const pid of [...this.#found.keys()]) this.#remove(pid, 'discovery stopped')
    this.#refused.clear()
  }

  /** Removes the guest that was also found by QMP socket, or that has the same name. */
  yieldTo({ pid, name }: DiscoveredGuest): void {
    for (const [own, { guest }] of this.#found) {
      if (own === pid) this.#remove(own, 'it has a QMP socket')
      else if (guest.name === name) this.#remove(own, 'a guest with a QMP socket has its name')
    }
  }

  async #lookOnce(): Promise<void> {
    const { qemus, hidden, seesOthers } = await scanQemus(this.#managed)
    if (!seesOthers) this.#sayOnce('the processes of others are hidden from this agent', { advice: RIGHTS_ADVICE })
    const there = new Map(qemus.map((qemu) => [qemu.pid, qemu]))
    for (const [pid, { guest, line }] of this.#found) {
      if (!guest.alive) this.#remove(pid, 'its process ended')
      else if (there.get(pid)?.line !== line) this.#remove(pid, 'its process is another program now')
    }
    for (const [pid, { process }] of this.#refused) if (!isAlive(process)) this.#refused.delete(pid)
    for (const process of hidden) this.#refuse(process, hiddenFrom(process))
    for (const qemu of qemus) await this.#visit(qemu)
  }

  async #visit(qemu: ScannedQemu): Promise<void> {
    const found = this.#found.get(qemu.pid)
    try {
      if (found !== undefined) {
        if (await found.guest.refresh() === 'same') return
        this.#remove(qemu.pid, 'its memory changed')
      }
      if (this.#others().some(({ pid }) => pid === qemu.pid)) return
      this.#add(qemu)
      this.#refused.delete(qemu.pid)
    } catch (error) {
      this.#remove(qemu.pid, describeError(error))
      this.#refuse(qemu, error)
    }
  }

  #add(qemu: ScannedQemu): void {
    if (this.#found.size >= GUESTS_MAX) {
      this.#sayOnce('too many QEMUs: the rest are ignored', { guestsMax: GUESTS_MAX })
      return
    }
    const called = (qemu.said.name ?? `qemu-${qemu.pid}`).slice(0, NAME_CHARACTERS_MAX)
    const isTaken = (name: string): boolean =>
      [...this.#others(), ...this.guests()].some((guest) => guest.name === name)
    const name = isTaken(called) ? `${called}-${qemu.pid}` : called
    // A name with another process' pid cannot arise by accident.
    if (isTaken(name)) return
    const guest = new ManagedGuest(name, { pid: qemu.pid, startTicks: qemu.startTicks }, qemu.said)
    if (name !== called) this.#log.warn('two guests of this host have one name', { name: called, shownAs: name })
    this.#found.set(qemu.pid, { guest, line: qemu.line })
    this.#log.info('guest of a manager found', {
      guest: name, pid: guest.pid, manager: guest.manager ?? 'unknown', state: guest.lastState,
      ...(guest.isPrivate ? { shared: 'nothing: its memory must not be merged' } : {}),
    })
    this.#listeners.tell('added', guest)
  }

  #remove(pid: number, why: string): void {
    const found = this.#found.get(pid)
    if (found === undefined) return
    this.#found.delete(pid)
    this.#log.info('guest gone', { guest: found.guest.name, pid, why })
    this.#listeners.tell('removed', found.guest)
    // Closes its files synchronously; the promise need not be awaited.
    void found.guest.close()
  }

  /** Logs the reason once it is certain: once for each process, or once in all if the agent lacks rights. */
  #refuse({ pid, startTicks }: ProcessIdentity, error: unknown): void {
    const code = error instanceof PagemeshError ? error.code : 'unknown'
    if (code === 'guest-gone') return
    const before = this.#refused.get(pid)
    const count = before?.code === code ? before.count + 1 : 1
    const reason = describeError(error)
    this.#refused.set(pid, { process: { pid, startTicks }, code, reason, count })
    if (count !== REFUSALS_MIN) return
    if (code === 'guest-forbidden') this.#sayOnce('guests of managers cannot be seen', { pid, error: reason })
    else this.#log.warn('a QEMU cannot be used', { pid, code, error: reason })
  }

  #sayOnce(message: string, fields: Record<string, unknown>): void {
    if (this.#said.has(message)) return
    this.#said.add(message)
    this.#log.error(message, fields)
  }
}

function hiddenFrom({ pid }: ProcessIdentity): PagemeshError {
  return new PagemeshError('guest-forbidden', `Process ${pid}, a QEMU, may not be looked at by this user.`, {
    fault: 'usage', advice: RIGHTS_ADVICE, data: { pid },
  })
}
