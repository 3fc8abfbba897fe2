import type { Census } from '../census/index.ts'
import {
  isAlive, type DiscoveredGuest, type Guest, type GuestDiscovery, type GuestMemory, type GuestState, type Manager,
  type UnusableGuest,
} from '../guest/index.ts'
import { PagemeshError } from '../runtime/errors.ts'

/** All guests of this host: found through QMP sockets or by process, or added by the embedding program. */
export class GuestList {
  readonly #discovery: GuestDiscovery
  readonly #census: Census
  readonly #added = new Map<string, Guest>()

  constructor(components: { discovery: GuestDiscovery; census: Census }) {
    this.#discovery = components.discovery
    this.#census = components.census
  }

  /** Adds the guests that discovery finds to the census; returns a function that ends this. */
  watch(): () => void {
    return this.#discovery.onChange((change, guest) => {
      if (change === 'removed') this.#census.remove(guest.name)
      else if (guest.isPrivate !== true) this.#census.add(guest)
    })
  }

  add(guest: Guest): void {
    if (this.find(guest.name) !== undefined) {
      throw new PagemeshError('guest-exists', `There is a guest named ${guest.name} on this host already.`, {
        fault: 'usage', advice: 'Guests of one host need names of their own.',
      })
    }
    this.#added.set(guest.name, guest)
    if (guest.isPrivate !== true) this.#census.add(guest)
  }

  remove(name: string): void {
    if (this.#added.delete(name)) this.#census.remove(name)
  }

  all(): (Guest | DiscoveredGuest)[] {
    return [...this.#discovery.guests(), ...this.#added.values()]
  }

  /** Sockets and processes refused as guests, with the reasons. */
  unusable(): UnusableGuest[] {
    return this.#discovery.unusable()
  }

  find(name: string): Guest | undefined {
    return this.all().find((guest) => guest.name === name)
  }

  /** Whether a guest of this name is here that shares nothing. */
  isPrivate(name: string | undefined): boolean {
    return name !== undefined && this.find(name)?.isPrivate === true
  }

  /** The guest of this name; looks for new guests if it is not known. Throws PagemeshError `guest-unknown`. */
  async require(name: string): Promise<Guest> {
    const known = this.find(name)
    // Its QEMU may have ended since the last look, and another one of the same name started.
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

  /** The guest of this name that waits with `-incoming defer`. Throws `no-waiting-guest`, `guest-managed`. */
  async requireWaiting(name: string): Promise<Guest> {
    const notWaiting = (message: string): PagemeshError => new PagemeshError('no-waiting-guest', message, {
      fault: 'guest', phase: 'offer',
      advice: `Start QEMU there with -name ${name} -incoming defer, and its QMP socket among that agent's guests.`,
    })
    await this.#discovery.refresh()
    const guest = this.find(name)
    if (guest === undefined) throw notWaiting(`no QEMU named ${name} waits there.`)
    requireOwn(guest)
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

/** The error for a request to move a guest that a manager moves; undefined for any other guest. */
export function notOwn(guest: Guest | undefined): PagemeshError | undefined {
  if (guest === undefined || driverOf(guest) !== 'managed') return undefined
  return new PagemeshError('guest-managed', `The guest ${guest.name} is moved by its manager, not by this agent.`, {
    fault: 'usage', phase: 'preparing',
    advice: 'Use its manager, such as `virsh migrate --live`; or put its QMP socket among the `guests` of this host.',
  })
}

/** Throws PagemeshError `guest-managed` for a guest that a manager moves. */
export function requireOwn(guest: Guest): void {
  const refusal = notOwn(guest)
  if (refusal !== undefined) throw refusal
}

/** Who moves the guest; null for one that the embedding program added. */
export function driverOf(guest: Guest | DiscoveredGuest): DiscoveredGuest['driver'] | null {
  return 'driver' in guest ? guest.driver : null
}

/** The manager that started the guest's QEMU and moves it; null: none, or not known. */
export function managerOf(guest: Guest | DiscoveredGuest | undefined): Manager | null {
  return (guest !== undefined && 'manager' in guest ? guest.manager : undefined) ?? null
}

/** The guest's last known state; QEMU is not asked. */
export function lastStateOf(guest: Guest | DiscoveredGuest): GuestState | 'unknown' {
  return 'lastState' in guest ? guest.lastState : 'unknown'
}

/** A guest known only by its memory: it counts as running, and cannot move. */
export function fromMemory(memory: GuestMemory): Guest {
  return { name: memory.name, memory, state: async () => 'running' }
}
