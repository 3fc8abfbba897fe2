import { askAgent } from '../../src/daemon/control/index.ts'
import type { AgentStatus, Clock } from '../../src/index.ts'
import type { Log } from '../../src/runtime/log.ts'
import { startGuest, stateOf, waitFor, type LabGuest } from '../index.ts'
import { LabError } from '../laberror.ts'
import { askHost, type HostRequest } from './hostsocket.ts'
import type { GuestSpec, HostSettings } from './settings.ts'

export interface HostGuestsInit {
  settings: HostSettings
  /** For the guests' sockets and serial logs. */
  directory: string
  /** The agent's control socket. */
  control: string
}

/** The guests of one host, one QEMU each. */
export interface HostGuests {
  /** Boots this host's guests, except those that run elsewhere by now; rejects if one fails. */
  boot(): Promise<void>
  /** Carries out a request. */
  answer(request: HostRequest): Promise<unknown>
  /** Kills all of them. */
  stop(): Promise<void>
}

interface HeldGuest {
  spec: GuestSpec
  guest: LabGuest
  isReady: boolean
}

const BOOT_TIMEOUT_MS = 900_000
const SEEN_TIMEOUT_MS = 60_000
const SCANNED_TIMEOUT_MS = 300_000
const BEATS_TIMEOUT_MS = 120_000
const STATUS_TIMEOUT_MS = 10_000
const PAUSE_MS = 200

export function createHostGuests(components: { clock: Clock; log: Log }, init: HostGuestsInit): HostGuests {
  return new RunningGuests(components, init)
}

class RunningGuests implements HostGuests {
  readonly #clock: Clock
  readonly #log: Log
  readonly #init: HostGuestsInit
  /** Names in use: those of present guests, and of guests about to be started. */
  readonly #names = new Set<string>()
  readonly #held = new Map<string, HeldGuest>()
  #isBooted = false

  constructor({ clock, log }: { clock: Clock; log: Log }, init: HostGuestsInit) {
    this.#clock = clock
    this.#log = log
    this.#init = init
  }

  async boot(): Promise<void> {
    const elsewhere = await this.#guestsElsewhere()
    const mine = this.#init.settings.guests.filter(({ name }) => !elsewhere.has(name))
    await Promise.all(mine.map(async (spec) => {
      const held = await this.#start(spec, false)
      this.#log.info('guest boots', { ...spec })
      await held.guest.ready(BOOT_TIMEOUT_MS)
      held.isReady = true
      this.#log.info('guest is ready', { guest: spec.name })
    }))
    this.#isBooted = true
  }

  async answer(request: HostRequest): Promise<unknown> {
    switch (request.ask) {
      case 'guests':
        return [...this.#held.keys()]
      case 'leave':
        return await this.#leave(this.#find(request.guest))
      case 'expect':
        return await this.#expect(request.guest)
      case 'beats':
        return await this.#beats(this.#find(request.guest), request.more)
      case 'end':
        return await this.#end(this.#find(request.guest))
      case 'health':
        return await this.#requireHealth()
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#held.values()].map(({ guest }) => guest.stop()))
  }

  /** A restarted host must not boot a guest that another host has taken over. */
  async #guestsElsewhere(): Promise<Set<string>> {
    const lists = this.#init.settings.peers.map(async (peer) =>
      // A host that does not answer is down, and runs no guest.
      await askHost<string[]>(peer, { ask: 'guests' }).catch(() => []))
    return new Set((await Promise.all(lists)).flat())
  }

  async #start(spec: GuestSpec, incoming: boolean): Promise<HeldGuest> {
    if (this.#names.has(spec.name)) throw refusal(`a guest called ${spec.name} is here already.`)
    this.#names.add(spec.name)
    try {
      const guest = await startGuest({ ...spec, directory: this.#init.directory, incoming, clock: this.#clock })
      const held = { spec, guest, isReady: false }
      this.#held.set(spec.name, held)
      return held
    } catch (error) {
      this.#names.delete(spec.name)
      throw error
    }
  }

  async #stop({ spec, guest }: HeldGuest): Promise<void> {
    this.#held.delete(spec.name)
    await guest.stop()
    this.#names.delete(spec.name)
  }

  #find(name: string): HeldGuest {
    const held = this.#held.get(name)
    if (held !== undefined) return held
    const names = [...this.#held.keys()].join(', ')
    throw refusal(`no guest is called ${name} here; there is ${names === '' ? 'none' : names}.`)
  }

  async #leave({ spec, guest, isReady }: HeldGuest): Promise<GuestSpec> {
    if (!isReady || await stateOf(guest) !== 'running') throw refusal(`${spec.name} does not run here yet.`)
    await this.#agentSays(`${spec.name} to be scanned`, SCANNED_TIMEOUT_MS, (status) => status.settled &&
      status.guests.some(({ name, distinctPages }) => name === spec.name && distinctPages > 0))
    return spec
  }

  async #expect(spec: GuestSpec): Promise<void> {
    const held = await this.#start(spec, true)
    try {
      await this.#agentSays(`${spec.name} to be waited for`, SEEN_TIMEOUT_MS, (status) =>
        status.guests.some(({ name, state }) => name === spec.name && state === 'inmigrate'))
    } catch (error) {
      await this.#stop(held)
      throw error
    }
  }

  async #beats(held: HeldGuest, more: number): Promise<number> {
    if (more > 0) {
      await held.guest.moreBeats(more, BEATS_TIMEOUT_MS)
      held.isReady = true
    }
    return held.guest.beats()
  }

  /** Never ends a guest that may run: QEMU's run state decides, not the request. */
  async #end(held: HeldGuest): Promise<boolean> {
    if (!['postmigrate', 'inmigrate'].includes(await stateOf(held.guest))) return false
    await this.#stop(held)
    return true
  }

  async #requireHealth(): Promise<void> {
    if (!this.#isBooted) throw refusal('its guests boot.')
    // Throws if a QEMU has ended.
    for (const { guest } of this.#held.values()) await stateOf(guest)
    const { peers, settled } = await this.#status()
    const wanted = this.#init.settings.peers.length
    if (peers.length < wanted) throw refusal(`its agent sees ${peers.length} of ${wanted} peers.`)
    if (!settled) throw refusal('its agent has not settled.')
  }

  async #agentSays(what: string, timeoutMs: number, isSo: (status: AgentStatus) => boolean): Promise<void> {
    await waitFor(async () => isSo(await this.#status()) ? true : undefined, {
      clock: this.#clock, what, timeoutMs, pauseMs: PAUSE_MS,
    })
  }

  #status(): Promise<AgentStatus> {
    const request = { command: 'status' } as const
    return askAgent({ path: this.#init.control, request, answerMsMax: STATUS_TIMEOUT_MS })
  }
}

function refusal(why: string): LabError {
  return new LabError('host-refused', why)
}
