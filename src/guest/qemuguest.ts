import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { GuestControl } from './control.ts'
import type { DiscoveredGuest } from './discovery.ts'
import { endProcess } from './endprocess.ts'
import type { GuestState } from './guest.ts'
import { createIncoming } from './incoming.ts'
import { findLayout } from './layout.ts'
import type { GuestMemory } from './memory.ts'
import type { IncomingMigration, OpenInit, OutgoingMigration } from './migration.ts'
import { seesDirectory } from './mounts.ts'
import { createOutgoing } from './outgoing.ts'
import { isAlive, readArguments, readUid, type ProcessIdentity } from './process.ts'
import { openProcessMemory } from './processmemory.ts'
import { parseQemuArguments } from './qemuarguments.ts'
import { findQemu, unproven } from './qemuprocess.ts'
import { formatQemuVersion } from './qemuversion.ts'
import { isBusy } from './qmperror.ts'
import { asCount, asRecord, asText } from './qmpvalue.ts'
import { isLeftBehind } from './refusals.ts'
import type { SideComponents, SideInit } from './side.ts'
import { queryMigration, queryState, type QmpAsker } from './status.ts'

/** Answers of QEMU on a visit. */
interface Answers {
  process: ProcessIdentity
  name: string
  /** The value of -name; empty without it. */
  ownName: string
  state: GuestState
  isPrivate: boolean
  memory: GuestMemory
  /** QEMU's table of RAM blocks: if it changes, the memory has changed. */
  blockTable: string
}

/** A QEMU of this host, found at its QMP socket. */
export class QemuGuest implements DiscoveredGuest {
  readonly driver = 'qmp'
  readonly name: string
  readonly pid: number
  readonly path: string
  readonly memory: GuestMemory
  readonly process: ProcessIdentity
  readonly isPrivate: boolean
  readonly #control: GuestControl
  readonly #ownName: string
  readonly #blockTable: string
  readonly #clock: Clock
  readonly #log: Log
  #state: GuestState

  private constructor(
    control: GuestControl, answers: Answers, { clock, log }: { clock: Clock; log: Log },
  ) {
    this.name = answers.name
    this.pid = answers.process.pid
    this.path = control.path
    this.memory = answers.memory
    this.process = answers.process
    this.isPrivate = answers.isPrivate
    this.#control = control
    this.#ownName = answers.ownName
    this.#blockTable = answers.blockTable
    this.#clock = clock
    this.#log = log
    this.#state = answers.state
  }

  /**
   * Visits the QEMU behind `path` and identifies it; `fallbackName` is for a QEMU without -name.
   * Throws `guest-gone`, `qmp-busy`, `guest-unseen`, `guest-unproven` and the other errors of a visit.
   */
  static async find(components: { clock: Clock; log: Log }, path: string, fallbackName: string): Promise<QemuGuest> {
    const control = new GuestControl(path, components)
    const answers = await control.visit((qmp) => ask(qmp, path, fallbackName, components.log))
    return new QemuGuest(control, answers, components)
  }

  /** Whether the other was found at another socket of the same QEMU. */
  isSameAs(other: QemuGuest): boolean {
    const { pid, startTicks } = other.process
    return pid === this.pid && startTicks === this.process.startTicks && other.#ownName === this.#ownName
  }

  /** Another QMP socket of this QEMU: used while another client holds the first. */
  addPath(path: string): void {
    this.#control.addPath(path)
  }

  removePath(path: string): void {
    this.#control.removePath(path)
  }

  /** The guest's run state at the last query. */
  get lastState(): GuestState {
    return this.#state
  }

  get alive(): boolean {
    return isAlive(this.process)
  }

  /** Throws what a visit may throw. */
  async qemuVersion(): Promise<string> {
    const { major, minor, micro } = asRecord(asRecord(await this.#control.visit(askVersion))['qemu'])
    return formatQemuVersion({ major: asCount(major), minor: asCount(minor), micro: asCount(micro) })
  }

  /** Queries QEMU; if another client holds the socket, returns the last known state. */
  async state(): Promise<GuestState> {
    try {
      this.#state = await this.#control.visit(stateHere)
    } catch (error) {
      if (!isBusy(error)) throw error
    }
    return this.#state
  }

  /**
   * Refreshes the state; resolves to whether the guest's memory has changed since it was found. During a migration only
   * the state is queried: blocks may grow then, and queries would delay the stream.
   */
  async refresh(): Promise<'same' | 'changed'> {
    return this.#control.visit(async (qmp) => {
      this.#state = await stateHere(qmp)
      if (this.#control.held) return 'same'
      return await qmp.hmp('info ramblock') === this.#blockTable ? 'same' : 'changed'
    })
  }

  openOutgoing(init: OpenInit): Promise<OutgoingMigration> {
    return this.#open(init, createOutgoing)
  }

  openIncoming(init: OpenInit): Promise<IncomingMigration> {
    return this.#open(init, createIncoming)
  }

  async #open<Side>(
    { signal, undo, directory }: OpenInit, create: (components: SideComponents, init: SideInit) => Promise<Side>,
  ): Promise<Side> {
    const uid = readUid(this.pid)
    const isApart = !await seesDirectory(this.pid, directory)
    const startsPaused = readArguments(this.pid).includes('-S')
    const qmp = await this.#control.hold({ signal, isAlive: () => this.alive })
    try {
      await this.#requireSame(qmp)
      return await create({ qmp, clock: this.#clock, log: this.#log }, {
        guest: this.name, process: this.process, uid, blocks: this.memory.layout?.blocks ?? [], startsPaused,
        directory, isApart, undo, endProcess: () => endProcess(this, this.path),
      })
    } catch (error) {
      await qmp.close()
      throw error
    }
  }

  /** Throws if another process now answers at the socket. */
  async #requireSame(qmp: QmpAsker): Promise<void> {
    const { pid, startTicks } = await findQemu(qmp, this.path)
    if (pid === this.pid && startTicks === this.process.startTicks) return
    throw unproven(this.path, `it was process ${this.pid}, and process ${pid} answers`, 'Ask for the guest again.')
  }

  close(): Promise<void> {
    return this.memory.close()
  }
}

async function askVersion(qmp: QmpAsker): Promise<unknown> {
  return await qmp.execute('query-version')
}

/** A paused guest that a failed migration left in `postmigrate` has not gone: it is paused here. */
async function stateHere(qmp: QmpAsker): Promise<GuestState> {
  const state = await queryState(qmp)
  if (state !== 'postmigrate') return state
  return isLeftBehind(state, (await queryMigration(qmp)).status) ? 'paused' : state
}

async function ask(qmp: QmpAsker, path: string, fallbackName: string, log: Log): Promise<Answers> {
  const process = await findQemu(qmp, path)
  const ownName = asText(asRecord(await qmp.execute('query-name'))['name'])
  const name = ownName || fallbackName
  const state = await stateHere(qmp)
  const blockTable = await qmp.hmp('info ramblock')
  const { layout, unmapped } = await findLayout(name, qmp, process)
  if (layout.blocks.length === 0) {
    throw unproven(path, `process ${process.pid} maps no memory of a guest`, 'See whether a QEMU listens there.')
  }
  if (unmapped.length > 0) log.debug('blocks of a guest are left out of the census', { guest: name, blocks: unmapped })
  const { isPrivate } = parseQemuArguments(readArguments(process.pid))
  return { process, name, ownName, state, isPrivate, memory: openProcessMemory(layout), blockTable }
}
