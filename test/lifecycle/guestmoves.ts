import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

import {
  connectQmp, discoverGuests, type DiscoveredGuest, type GuestDiscovery, type GuestState, type IncomingMigration,
  type MigrationMode, type OpenInit, type OutgoingMigration, type SettingsUndo,
} from '../../src/guest/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { startQemu, until, type Qemu } from '../support/qemuprocess.ts'

const SIGNAL_MS = 60_000

/** A migration that a test drives through the guests' two sides, from QEMU to QEMU over one socket. */
export interface Move {
  outgoing: OutgoingMigration
  incoming: IncomingMigration
  /** Statuses that the source's side reported. */
  statuses: string[]
  path: string
}

/** The name of source and destinations: they are one guest. */
const NAME = 'vm'

/** QEMUs in their own directories, each discovered as by the agent of its own host. */
export class GuestLab {
  readonly directory = mkdtempSync('/tmp/guest-test-')
  readonly #running: Qemu[] = []
  readonly #discoveries = new Map<string, GuestDiscovery>()

  /** Starts a QEMU of 64 MiB; `place` stands for its host. `command` uses its own QMP socket. */
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

  /** Starts a waiting QEMU. */
  wait(place: string, ...args: string[]): Promise<Qemu> {
    return this.boot(place, '-incoming', 'defer', ...args)
  }

  guest(place: string): DiscoveredGuest {
    const [guest] = this.#discoveries.get(place)!.guests()
    assert.ok(guest, `${place} is found`)
    return guest
  }

  /** Another agent takes over the guest, over another QMP socket, without any state of the first. */
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

  /** Moves a guest until the source has given it up; the destination has it and does not run it. */
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

  /** Moves a guest, restores its run state, and ends both sessions. Resolves to its state. */
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

/** Polls until the guest is discovered: a QEMU that has just started may not answer within one visit. */
async function found(discovery: GuestDiscovery): Promise<void> {
  await discovery.start()
  await until(async () => {
    await discovery.refresh()
    return discovery.guests().length > 0
  })
}

/** Arguments with which QEMU drops its privileges after its start. */
export function asNobody(): string[] {
  const version = /version (\d+)/.exec(spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' }).stdout)
  return Number(version?.[1]) >= 10 ? ['-run-with', 'user=nobody'] : ['-runas', 'nobody']
}

function openInit(directory: string, undo: SettingsUndo | undefined): OpenInit {
  return { signal: AbortSignal.timeout(SIGNAL_MS), directory, ...(undo === undefined ? {} : { undo }) }
}

/** Ends both sessions; all settings must have been restored. */
export async function close({ outgoing, incoming }: Pick<Move, 'outgoing' | 'incoming'>): Promise<void> {
  assert.equal(await outgoing.close(), undefined, 'the source\'s settings are back')
  assert.equal(await incoming.close(), undefined, 'the destination\'s settings are back')
}

/** A QEMU's migration settings and pending actions. */
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

/** Relays a migration from one socket to another, like a network, until it is cut. */
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
