import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { readStartTicks } from '../../../src/guest/process.ts'
import { connectQmp } from '../../../src/guest/qmp.ts'
import { createQmpSession, type QmpSession } from '../../../src/guest/qmpsession.ts'
import type { SideInit } from '../../../src/guest/side.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { FakeQemu, type Answer } from './fakeqemu.ts'

const REFUSES_BUSY = 'There\'s a migration process in progress'

/** A scripted QEMU with what a migration needs: a run state, a status, settings, disks. */
export class FakeMachine {
  readonly directory = mkdtempSync('/tmp/fake-machine-')
  readonly path = join(this.directory, 'vm.qmp')
  fake!: FakeQemu
  session!: QmpSession
  /** Whether the process is said to live. */
  alive = true
  killCount = 0
  state = 'running'
  status = 'none'
  error: string | undefined
  blockers: string[] = []
  readonly capabilities: Record<string, boolean> = {
    events: false, 'return-path': false, 'postcopy-ram': false, multifd: false, compress: false, 'mapped-ram': false,
    'late-block-activate': false, 'switchover-ack': false, 'pause-before-switchover': false,
  }
  readonly parameters: Record<string, unknown> = {
    'max-bandwidth': 134_217_728, 'max-postcopy-bandwidth': 0, 'downtime-limit': 300, 'tls-creds': '', mode: 'normal',
  }
  /** Image of the one disk; none if empty. */
  image = ''
  /** Answers that differ from the usual ones, by command. */
  readonly special: Record<string, (args: Record<string, unknown>) => Answer | Promise<Answer>> = {}

  static async start(): Promise<FakeMachine> {
    const machine = new FakeMachine()
    machine.fake = await FakeQemu.listen(machine.path)
    machine.fake.answer = (command, args) => machine.#answer(command, args)
    await machine.connect()
    return machine
  }

  /** Opens a session anew, as another agent would. */
  async connect(): Promise<void> {
    const connect = () => connectQmp(this.path, { clock: systemClock, log: silentLog, timeoutMs: 200 })
    this.session = createQmpSession({ clock: systemClock, log: silentLog }, {
      path: this.path, first: await connect(), connect, isAlive: () => this.alive,
    })
  }

  get components() {
    return { qmp: this.session, clock: systemClock, log: silentLog }
  }

  init(more: Partial<SideInit> = {}): SideInit {
    const own = { pid: process.pid, startTicks: readStartTicks(process.pid)! }
    return {
      guest: 'vm', process: own, uid: process.geteuid!(), blocks: [],
      startsPaused: false, directory: this.directory, isApart: false, undo: undefined,
      endProcess: this.endProcess, ...more,
    }
  }

  /** As SIGKILL does. */
  readonly endProcess = (): void => {
    this.killCount += 1
    this.alive = false
    this.fake.hangUp()
  }

  /** What came that changes anything. */
  get changes(): string[] {
    return this.fake.commands.filter((command) => !command.startsWith('query-') && command !== 'qmp_capabilities')
  }

  /** The migration gets to `status`, and says so. */
  reach(status: string): void {
    this.status = status
    if (this.capabilities['events'] === true) this.fake.event('MIGRATION', { status })
  }

  async close(): Promise<void> {
    await this.session.close()
    await this.fake.close()
    rmSync(this.directory, { recursive: true })
  }

  #answer(command: string, args: Record<string, unknown>): Answer | Promise<Answer> {
    const special = this.special[command]
    if (special !== undefined) return special(args)
    switch (command) {
      case 'query-status':
        return { value: { status: this.state } }
      case 'query-migrate':
        return { value: {
          ...(this.status === 'none' ? {} : { status: this.status }),
          ...(this.error === undefined ? {} : { 'error-desc': this.error }),
          ...(this.blockers.length === 0 ? {} : { 'blocked-reasons': this.blockers }),
        } }
      case 'query-migrate-capabilities':
        return { value: Object.entries(this.capabilities).map(([capability, state]) => ({ capability, state })) }
      case 'query-migrate-parameters':
        return { value: this.parameters }
      case 'query-block':
        return { value: this.image === '' ? [] : [{ inserted: { file: this.image, ro: false, 'node-name': 'disk0' } }] }
      case 'query-named-block-nodes':
        return { value: this.image === '' ? [] : [{ 'node-name': 'disk0' }, { 'node-name': 'file0' }] }
      case 'query-block-exports':
        return { value: [] }
      case 'migrate-set-capabilities':
        return this.#setCapabilities(args['capabilities'] as { capability: string; state: boolean }[])
      case 'migrate-set-parameters':
        Object.assign(this.parameters, args)
        return { value: {} }
      case 'cont':
        if (this.state !== 'inmigrate') this.state = 'running'
        return { value: {} }
      case 'stop':
        if (this.state === 'running') this.state = 'paused'
        return { value: {} }
      default:
        return { value: {} }
    }
  }

  #setCapabilities(changes: { capability: string; state: boolean }[]): Answer {
    if (!['none', 'completed', 'failed', 'cancelled'].includes(this.status)) {
      return { errorClass: 'GenericError', description: REFUSES_BUSY }
    }
    for (const { capability, state } of changes) this.capabilities[capability] = state
    return { value: {} }
  }
}
