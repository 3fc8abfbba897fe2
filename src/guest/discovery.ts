import { statSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { basename, extname } from 'node:path'

import type { Clock } from '../runtime/clock.ts'
import { describeError, PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { someAtOnce } from '../runtime/wait.ts'
import { ChangeListeners, type ChangeListener } from './changelisteners.ts'
import type { Guest, GuestState } from './guest.ts'
import { Looking } from './looking.ts'
import type { ProcessIdentity } from './process.ts'
import type { Manager } from './qemuarguments.ts'
import { QemuGuest } from './qemuguest.ts'
import { listensAt } from './qemuprocess.ts'
import { isBusy } from './qmperror.ts'
import { linkStatOrNothing } from './vanishing.ts'

/** A guest that discovery found, with its last known properties. */
export interface DiscoveredGuest extends Guest {
  readonly pid: number
  readonly process: ProcessIdentity
  /** Who moves it: this agent over its QMP socket, or a manager. */
  readonly driver: 'qmp' | 'managed'
  /** The manager that started it, if its command line shows one. */
  readonly manager?: Manager | undefined
  /** Its run state at the last look. */
  readonly lastState: GuestState | 'unknown'
  /** Of one with a QMP socket: where that is, and which QEMU says that it is. */
  readonly path?: string
  qemuVersion?(): Promise<string>
}

/** A matching socket, or a process that looks like a QEMU, that cannot be used as a guest. */
export interface UnusableGuest {
  /** Path of the socket, or the process' directory in /proc. */
  path: string
  code: string
  /** Why, and what to do about it. */
  reason: string
}

export interface GuestDiscovery {
  /** The present guests, sorted by name. */
  guests(): DiscoveredGuest[]
  /** Refused sockets and processes, by path; without sockets that an ended QEMU left. */
  unusable(): UnusableGuest[]
  /** Looks now, also at sockets that failed lately; resolves when all QEMUs have answered. */
  refresh(): Promise<void>
  /** Calls `listener` when a guest appears or goes. A guest whose memory changed is removed and added. */
  onChange(listener: ChangeListener): () => void
  /** Looks for the first time, then every POLL_MS. Idempotent. */
  start(): Promise<void>
  stop(): Promise<void>
}

export interface GuestDiscoveryInit {
  /** Patterns of QMP sockets, such as `/run/vms/*.qmp`. */
  globs: readonly string[]
}

const POLL_MS = 2_000
/** Pause before an unusable socket is tried again, doubled up to the second value. */
const RETRY_MIN_MS = 2_000
const RETRY_MAX_MS = 60_000
/** Most sockets in all, the rest being skipped with a warning, and most QEMUs asked at the same time. */
const SOCKETS_MAX = 4_096
const VISITS_MAX = 16
/** Error code for a socket that an ended QEMU left, which is ordinary. */
const LEFT_BEHIND = 'guest-gone'

/** Watches for QMP sockets that match the patterns and lists the guests behind them. */
export function discoverGuests(components: { clock: Clock; log: Log }, init: GuestDiscoveryInit): GuestDiscovery {
  return new SocketDiscovery(components, init)
}

interface Found {
  guest: QemuGuest
  socket: string
}

interface Failure {
  socket: string
  code: string
  reason: string
  retryAt: number
  delayMs: number
}

class SocketDiscovery implements GuestDiscovery {
  readonly #clock: Clock
  readonly #log: Log
  readonly #globs: readonly string[]
  readonly #found = new Map<string, Found>()
  /** Further sockets of guests that were found at another. */
  readonly #spare = new Map<string, Found>()
  readonly #failed = new Map<string, Failure>()
  /** Entries of the directories that were passed over and mentioned. */
  readonly #odd = new Set<string>()
  readonly #listeners = new ChangeListeners()
  readonly #looking: Looking

  constructor({ clock, log }: { clock: Clock; log: Log }, { globs }: GuestDiscoveryInit) {
    this.#clock = clock
    this.#log = log
    this.#globs = globs
    this.#looking = new Looking({ clock, log }, {
      everyMs: POLL_MS, failure: 'looking for guests failed', lookOnce: () => this.#lookOnce(),
    })
  }

  guests(): DiscoveredGuest[] {
    return [...this.#found.values()].map((found) => found.guest).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  unusable(): UnusableGuest[] {
    return [...this.#failed].map(([path, { code, reason }]) => ({ path, code, reason }))
      .filter(({ code }) => code !== LEFT_BEHIND).sort((a, b) => (a.path < b.path ? -1 : 1))
  }

  async refresh(): Promise<void> {
    await this.#looking.ended()
    this.#failed.forEach((failure) => { failure.retryAt = 0 })
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
    for (const path of [...this.#found.keys()]) await this.#remove(path, 'discovery stopped')
    this.#failed.clear()
  }

  async #lookOnce(): Promise<void> {
    const sockets = await this.#sockets()
    for (const [path, { guest, socket }] of this.#found) {
      if (sockets.get(path) !== socket) await this.#remove(path, 'its socket went')
      else if (!guest.alive) await this.#remove(path, 'its process ended')
    }
    for (const [path, { guest, socket }] of this.#spare) {
      if (sockets.get(path) === socket) continue
      this.#spare.delete(path)
      guest.removePath(path)
    }
    for (const [path, { socket }] of this.#failed) if (sockets.get(path) !== socket) this.#failed.delete(path)
    await someAtOnce([...sockets], VISITS_MAX, ([path, socket]) => this.#visit(path, socket))
  }

  /** Path of each matching socket, with an identity that tells it from a later one at the same path. */
  async #sockets(): Promise<Map<string, string>> {
    const sockets = new Map<string, string>()
    const seen = new Set<string>()
    for await (const path of glob([...this.#globs])) {
      if (!this.#isSocket(path)) continue
      // Links are not followed here; a link is refused when it is examined.
      const file = linkStatOrNothing(path)
      if (file === undefined) continue
      // A later file may get the same number; who may use a file changes it, but not when it was made.
      const identity = `${file.dev}:${file.ino}:${file.birthtimeMs || file.ctimeMs}`
      if (seen.has(identity)) continue
      if (sockets.size >= SOCKETS_MAX) {
        this.#log.warn('too many QMP sockets match: the rest are ignored', { socketsMax: SOCKETS_MAX })
        break
      }
      seen.add(identity)
      sockets.set(path, identity)
    }
    return sockets
  }

  /** Says once of an entry that it cannot be looked at, such as a link to itself. */
  #isSocket(path: string): boolean {
    try {
      return statSync(path).isSocket()
    } catch (error) {
      const code = systemErrorCode(error)
      // It has gone meanwhile, or it is a link to something that will come.
      if (code !== 'ENOENT' && !this.#odd.has(path) && this.#odd.size < SOCKETS_MAX) {
        this.#odd.add(path)
        this.#log.warn('an entry among the QMP sockets is passed over', { path, code })
      }
      return false
    }
  }

  async #visit(path: string, socket: string): Promise<void> {
    if (this.#spare.has(path)) return
    const found = this.#found.get(path)
    try {
      if (found !== undefined) {
        if (await found.guest.refresh() === 'same') return
        await this.#remove(path, 'its memory changed')
      } else if ((this.#failed.get(path)?.retryAt ?? 0) > this.#clock.now()) {
        return
      }
      await this.#add(path, socket)
      this.#failed.delete(path)
    } catch (error) {
      if (found === undefined || !this.#found.has(path)) this.#failOrSpare(path, socket, error)
      // A living QEMU that hung up, for example because its session was closed meanwhile, is asked next time.
      else if (!found.guest.alive) await this.#remove(path, 'its process ended')
      else if (!isBusy(error)) this.#log.debug('a guest did not answer', { path, error: describeError(error) })
    }
  }

  async #add(path: string, socket: string): Promise<void> {
    const fallbackName = basename(path, extname(path))
    const guest = await QemuGuest.find({ clock: this.#clock, log: this.#log }, path, fallbackName)
    const sameProcess = this.#foundBy((other) => other.isSameAs(guest))
    if (sameProcess !== undefined) {
      await guest.close()
      this.#keepSpare(path, socket, sameProcess)
      return
    }
    const sameName = this.#foundBy(({ name }) => name === guest.name)
    if (sameName !== undefined) {
      await guest.close()
      throw nameTaken(guest.name, path, sameName.path)
    }
    this.#found.set(path, { guest, socket })
    this.#log.info('guest found', { guest: guest.name, pid: guest.pid, state: guest.lastState, path })
    this.#listeners.tell('added', guest)
  }

  #foundBy(isIt: (guest: QemuGuest) => boolean): QemuGuest | undefined {
    return [...this.#found.values()].find(({ guest }) => isIt(guest))?.guest
  }

  #keepSpare(path: string, socket: string, guest: QemuGuest): void {
    this.#spare.set(path, { guest, socket })
    guest.addPath(path)
    this.#log.debug('a guest has another QMP socket', { guest: guest.name, path })
  }

  async #remove(path: string, why: string): Promise<void> {
    const found = this.#found.get(path)
    if (found === undefined) return
    this.#found.delete(path)
    for (const [other, { guest }] of this.#spare) if (guest === found.guest) this.#spare.delete(other)
    this.#log.info('guest gone', { guest: found.guest.name, pid: found.guest.pid, why })
    this.#listeners.tell('removed', found.guest)
    await found.guest.close()
  }

  /** A socket that another client holds may be a second one of a guest that is known. */
  #failOrSpare(path: string, socket: string, error: unknown): void {
    const file = isBusy(error) ? linkStatOrNothing(path) : undefined
    const guest = file === undefined ? undefined : this.#foundBy(({ pid }) => listensAt(pid, path, file))
    if (guest === undefined) return this.#fail(path, socket, error)
    this.#failed.delete(path)
    this.#keepSpare(path, socket, guest)
  }

  /** Pauses tries at the socket; logs the reason once. */
  #fail(path: string, socket: string, error: unknown): void {
    const code = error instanceof PagemeshError ? error.code : 'unknown'
    const before = this.#failed.get(path)
    const delayMs = Math.min(RETRY_MAX_MS, before === undefined ? RETRY_MIN_MS : before.delayMs * 2)
    const reason = describeError(error)
    this.#failed.set(path, { socket, code, reason, delayMs, retryAt: this.#clock.now() + delayMs })
    if (before?.code === code) return
    const level = code === LEFT_BEHIND ? 'debug' : 'warn'
    this.#log[level]('a QMP socket cannot be used', { path, code, error: reason })
  }
}

function nameTaken(name: string, path: string, otherPath: string): PagemeshError {
  return new PagemeshError('guest-name-taken', `Two guests of this host are called ${name}.`, {
    fault: 'usage',
    advice: 'Give each guest a -name of its own; the one found first is kept.',
    data: { name, path, otherPath },
  })
}
