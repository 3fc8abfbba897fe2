import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

import { connectQmp, discoverGuests } from '../../src/guest/index.ts'
import type {
  DiscoveredGuest, GuestDiscovery, GuestState, IncomingMigration, MigrationMode, OpenInit, OutgoingMigration,
  SettingsUndo,
} from '../../src/guest/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { startQemu, until, type Qemu } from '../support/qemuprocess.ts'

const SIGNAL_MS = 60_000

/** A migration that a test drives by the guests' two sides, QEMU to QEMU over one socket. */
export interface Move {
  outgoing: OutgoingMigration
  incoming: IncomingMigration
  /** What the source's side told. */
  statuses: string[]
  path: string
}

/** What a source and its destinations are called: they are one guest. */
const NAME = 'vm'

/** QEMUs in a directory of their own, each found as the agent of a host of its own finds it. */
export class GuestLab {
  readonly directory = mkdtempSync('/tmp/guest-test-')
  readonly #running: Qemu[] = []
  readonly #discoveries = new Map<string, GuestDiscovery>()

  /** Starts a QEMU of 64 MiB; `place` stands for its host. Its `command` goes to a QMP socket of its own. */
  async boot(place: string, ...args: string[]): Promise<Qemu> {
    const own = join(this.directory, `${place}.test`)
    const named = args.includes('-name') ? args : ['-name', NAME, ...args]
    const sized = args.includes('-m') ? named : ['-m', '64', ...named]
    const next = join(this.directory, `${place}.next`)
    const sockets = [own, next].flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`])
    const qemu = await startQemu(this.directory, place, [...sockets, ...sized])
    this.#running.push(qemu)
    const discovery = discoverGuests({ clock: systemClock, log: silentLog }, { globs: [qemu.socket] })
    this.#discoveries.set(place, discovery)
    await found(discovery)
    return { ...qemu, command: (command, words) => commandAt(own, command, words) }
  }

  /** Starts a QEMU that waits. */
  wait(place: string, ...args: string[]): Promise<Qemu> {
    return this.boot(place, '-incoming', 'defer', ...args)
  }

  guest(place: string): DiscoveredGuest {
    const [guest] = this.#discoveries.get(place)!.guests()
    assert.ok(guest, `${place} is found`)
    return guest
  }

  /** Another agent looks after the guest from now on, by a QMP socket of its own. Nothing of the first helps it. */
  async forget(place: string): Promise<void> {
    const path = join(this.directory, `${place}.next`)
    const discovery = discoverGuests({ clock: systemClock, log: silentLog }, { globs: [path] })
    await this.#discoveries.get(place)!.stop()
    this.#discoveries.set(place, discovery)
    await found(discovery)
  }

  outgoing(place: string, undo?: SettingsUndo): Promise<OutgoingMigration> {
    return this.guest(place).openOutgoing!(openInit(this.directory, undo))
  }

  incoming(place: string, undo?: SettingsUndo): Promise<IncomingMigration> {
    return this.guest(place).openIncoming!(openInit(this.directory, undo))
  }

  async prepare(source: string, destination: string, mode: MigrationMode = 'precopy'): Promise<Move> {
    const outgoing = await this.outgoing(source)
    const incoming = await this.incoming(destination)
    const statuses: string[] = []
    outgoing.follow(({ status }) => statuses.push(status))
    await incoming.prepare({ mode })
    await outgoing.prepare({ mode, maxDowntimeMs: 250 })
    return { outgoing, incoming, statuses, path: join(this.directory, `stream-${destination}`) }
  }

  /** Moves a guest up to the point where the source has given it up; the destination has it, and does not run it. */
  async move(source: string, destination: string, mode: MigrationMode = 'precopy'): Promise<Move> {
    const move = await this.prepare(source, destination, mode)
    await move.incoming.begin(move.path)
    await move.outgoing.begin(move.path)
    if (mode === 'postcopy') {
      await until(() => move.statuses.includes('active'))
      await move.outgoing.startPostcopy()
    }
    await until(() => move.statuses.includes('completed'))
    await until(async () => (await move.incoming.progress()).status === 'completed')
    return move
  }

  /** Moves a guest, lets it be as it was, and ends both sessions. Resolves to what it is then. */
  async moveAndRelease(source: string, destination: string, runState: GuestState): Promise<GuestState> {
    const move = await this.move(source, destination)
    const state = await move.incoming.release(runState)
    await close(move)
    return state
  }

  async close(): Promise<void> {
    await Promise.all([...this.#discoveries.values()].map((discovery) => discovery.stop()))
    await Promise.all(this.#running.splice(0).map((qemu) => qemu.kill()))
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Looks until the guest is found: a QEMU that has just begun may take longer to answer than a visit lasts. */
async function found(discovery: GuestDiscovery): Promise<void> {
  await discovery.start()
  await until(async () => {
    await discovery.refresh()
    return discovery.guests().length > 0
  })
}

/** The words that make QEMU act as a user without rights once it has begun. */
export function asNobody(): string[] {
  const version = /version (\d+)/.exec(spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' }).stdout)
  return Number(version?.[1]) >= 10 ? ['-run-with', 'user=nobody'] : ['-runas', 'nobody']
}

function openInit(directory: string, undo: SettingsUndo | undefined): OpenInit {
  return { signal: AbortSignal.timeout(SIGNAL_MS), directory, ...(undo === undefined ? {} : { undo }) }
}

/** Ends both sessions; everything must have been put back. */
export async function close({ outgoing, incoming }: Pick<Move, 'outgoing' | 'incoming'>): Promise<void> {
  assert.equal(await outgoing.close(), undefined, 'the source\'s settings are back')
  assert.equal(await incoming.close(), undefined, 'the destination\'s settings are back')
}

/** A QEMU's migration settings, and what it is about to do by itself. */
export async function settingsOf(qemu: Qemu): Promise<unknown> {
  return [await qemu.command('query-migrate-capabilities'), await qemu.command('query-migrate-parameters')]
}

export function hasCode(error: unknown, code: string): error is PagemeshError {
  assert.ok(error instanceof PagemeshError, String(error))
  assert.equal(error.code, code, error.message)
  return true
}

async function commandAt(path: string, command: string, words: Record<string, unknown> = {}): Promise<unknown> {
  const qmp = await connectQmp(path, { clock: systemClock, log: silentLog })
  try {
    return await qmp.execute(command, words)
  } finally {
    await qmp.close()
  }
}

/** Carries a migration from one socket to another until it is cut, as a network would be. */
export class Relay {
  readonly #server: Server
  readonly #sockets: Socket[] = []

  private constructor(to: string) {
    this.#server = createServer({ allowHalfOpen: true }, (from) => {
      const there = connect({ path: to, allowHalfOpen: true })
      this.#sockets.push(from, there)
      for (const socket of [from, there]) socket.on('error', () => { /* it was cut */ })
      from.pipe(there)
      there.pipe(from)
    })
  }

  static async listen(at: string, to: string): Promise<Relay> {
    const relay = new Relay(to)
    relay.#server.listen(at)
    await once(relay.#server, 'listening')
    return relay
  }

  cut(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}
