import type { Census } from '../census/index.ts'
import {
  isAlive, type DiscoveredGuest, type Guest, type GuestDiscovery, type GuestMemory, type GuestState,
  type UnusableSocket,
} from '../guest/index.ts'
import { PagemeshError } from '../runtime/errors.ts'

/** All guests of this host: those found through QMP sockets and those added by who embeds the agent. */
export class GuestList {
  readonly #discovery: GuestDiscovery
  readonly #census: Census
  readonly #added = new Map<string, Guest>()

  constructor(components: { discovery: GuestDiscovery; census: Census }) {
    this.#discovery = components.discovery
    this.#census = components.census
  }

  /** Lets the census follow the guests that discovery finds; returns how to end that. */
  watch(): () => void {
    return this.#discovery.onChange((change, guest) => {
      if (change === 'added') this.#census.add(guest)
      else this.#census.remove(guest.name)
    })
  }

  add(guest: Guest): void {
    if (this.find(guest.name) !== undefined) {
      throw new PagemeshError('guest-exists', `There is a guest named ${guest.name} on this host already.`, {
        fault: 'usage', advice: 'Guests of one host need names of their own.',
      })
    }
    this.#added.set(guest.name, guest)
    this.#census.add(guest)
  }

  remove(name: string): void {
    if (this.#added.delete(name)) this.#census.remove(name)
  }

  all(): (Guest | DiscoveredGuest)[] {
    return [...this.#discovery.guests(), ...this.#added.values()]
  }

  /** The sockets of guests that were refused, with the reasons. */
  unusable(): UnusableSocket[] {
    return this.#discovery.unusable()
  }

  find(name: string): Guest | undefined {
    return this.all().find((guest) => guest.name === name)
  }

  /** The guest of this name, looked for once more if it is not known yet. Throws PagemeshError `guest-unknown`. */
  async require(name: string): Promise<Guest> {
    const known = this.find(name)
    // Its QEMU may have been ended, and another one of its name started, since it was last looked for.
    if (known !== undefined && (known.process === undefined || isAlive(known.process))) return known
    await this.#discovery.refresh()
    const found = this.find(name)
    if (found !== undefined) return found
    const names = this.all().map((guest) => guest.name).join(', ')
    throw new PagemeshError('guest-unknown', `There is no guest named ${name} on this host.`, {
      fault: 'usage', phase: 'preparing',
      advice: names === ''
        ? 'The agent sees no guest at all: check `guests` in its configuration.' : `It has: ${names}.`,
    })
  }

  /** The guest of this name that waits with `-incoming defer`. Throws PagemeshError `no-waiting-guest`. */
  async requireWaiting(name: string): Promise<Guest> {
    const notWaiting = (message: string): PagemeshError => new PagemeshError('no-waiting-guest', message, {
      fault: 'guest', phase: 'offer',
      advice: `Start QEMU there with -name ${name} -incoming defer, and its QMP socket among that agent's guests.`,
    })
    await this.#discovery.refresh()
    const guest = this.find(name)
    if (guest === undefined) throw notWaiting(`no QEMU named ${name} waits there.`)
    const state = await guest.state()
    if (state !== 'inmigrate') {
      throw notWaiting(`its QEMU named ${name} is ${state} and does not wait for a migration.`)
    }
    return guest
  }

  /** Looks at all guests again: after a handoff their states have changed. */
  async refresh(): Promise<void> {
    await this.#discovery.refresh()
  }
}

/** What is known of a guest's state without asking. */
export function lastStateOf(guest: Guest | DiscoveredGuest): GuestState | 'unknown' {
  return 'lastState' in guest ? guest.lastState : 'unknown'
}

/** A guest of which nothing but its memory is known: it runs, and cannot move. */
export function fromMemory(memory: GuestMemory): Guest {
  return { name: memory.name, memory, state: async () => 'running' }
}
