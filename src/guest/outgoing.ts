/**
 * The source guest's side of a migration, over QMP.
 *
 *   prepare --> begin --> active --> completed              (precopy)
 *                            |-----> postcopy-active --> completed
 *                            |              `--> postcopy-paused -- resume --> postcopy-recover --> postcopy-active
 *                            `-----> failed | cancelled     the guest goes on here
 *
 * Goals: the guest's stream reaches us whole and unpacked, and QEMU never throttles it: the agent does.
 * Non-goals: deciding when to switch to postcopy, retrying.
 */
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { GuestState, MigrationMode, OutgoingMigration } from './index.ts'
import type { QmpClient } from './qmp.ts'
import { asText } from './qmpvalue.ts'
import { MigrationSettings } from './settings.ts'
import { followStatus, isAtRest, queryMigration, queryState } from './status.ts'

/** Bytes a second, beyond any memory's speed. QEMU's own default of 128 MiB/s would hold the stream back. */
const BANDWIDTH_UNLIMITED = 2 ** 40

/** States in which a guest can move. `prelaunch` is a guest started with -S that nobody has let run yet. */
const MOVABLE: ReadonlySet<GuestState> = new Set<GuestState>(['running', 'paused', 'prelaunch'])

/** Capabilities that hide or reroute pages, and what would go wrong. */
const REFUSED_CAPABILITIES: Readonly<Record<string, string>> = {
  multifd: 'pages would travel on channels of their own',
  compress: 'QEMU would compress the pages itself',
  'x-colo': 'the guest is replicated by COLO',
  'rdma-pin-all': 'RDMA does not pass through a socket',
  'zero-copy-send': 'it does not work on UNIX sockets',
  'postcopy-preempt': 'pages would travel on a second channel',
  'background-snapshot': 'the stream would be a snapshot, not a migration',
  'mapped-ram': 'the stream would need a file',
}

export interface OutgoingInit {
  guest: string
  owner: { uid: number; gid: number }
}

export function createOutgoing(components: { qmp: QmpClient; log: Log }, init: OutgoingInit): OutgoingMigration {
  return new QemuOutgoing(components, init)
}

class QemuOutgoing implements OutgoingMigration {
  readonly owner: { uid: number; gid: number }
  readonly gone: Promise<Error>
  readonly #guest: string
  readonly #qmp: QmpClient
  readonly #log: Log
  #settings: MigrationSettings | undefined

  constructor({ qmp, log }: { qmp: QmpClient; log: Log }, { guest, owner }: OutgoingInit) {
    this.owner = owner
    this.gone = qmp.lost
    this.#guest = guest
    this.#qmp = qmp
    this.#log = log
  }

  async prepare(options: { mode: MigrationMode; maxDowntimeMs?: number }): Promise<{ running: boolean }> {
    const state = await queryState(this.#qmp)
    if (!MOVABLE.has(state)) throw notMovable(this.#guest, `its state is ${state}`, stateAdvice(state), { state })
    const { status } = await queryMigration(this.#qmp)
    if (!isAtRest(status)) {
      throw notMovable(this.#guest, `a migration of it is ${status}`, 'Wait for it, or stop it with migrate_cancel.', {
        status,
      })
    }
    const settings = await MigrationSettings.read(this.#qmp)
    refuseHidden(this.#guest, settings)
    this.#settings = settings
    await settings.setCapabilities({
      events: true,
      'return-path': true,
      'postcopy-ram': options.mode === 'postcopy',
      // Nobody would be there to say `migrate-continue`.
      'pause-before-switchover': false,
    })
    await settings.setParameters({
      'max-bandwidth': BANDWIDTH_UNLIMITED,
      'max-postcopy-bandwidth': 0,
      ...(options.maxDowntimeMs === undefined ? {} : { 'downtime-limit': Math.ceil(options.maxDowntimeMs) }),
    })
    return { running: state === 'running' }
  }

  async begin(socketPath: string): Promise<void> {
    await this.#qmp.execute('migrate', { uri: `unix:${socketPath}` })
  }

  async resume(socketPath: string): Promise<void> {
    await this.#qmp.execute('migrate', { uri: `unix:${socketPath}`, resume: true })
  }

  progress(): ReturnType<OutgoingMigration['progress']> {
    return queryMigration(this.#qmp)
  }

  onStatus(listener: (status: string) => void): void {
    followStatus(this.#qmp, listener)
  }

  async startPostcopy(): Promise<void> {
    await this.#qmp.execute('migrate-start-postcopy')
  }

  async cancel(): Promise<void> {
    await this.#qmp.execute('migrate_cancel')
  }

  async close(): Promise<void> {
    await this.#settings?.restore(this.#log)
    await this.#qmp.close()
  }
}

/** Refuses settings under which the pages in the stream could not be seen, and says how to change them. */
function refuseHidden(guest: string, settings: MigrationSettings): void {
  for (const [capability, why] of Object.entries(REFUSED_CAPABILITIES)) {
    if (!settings.isOn(capability)) continue
    const remedy = { execute: 'migrate-set-capabilities', arguments: { capabilities: [{ capability, state: false }] } }
    throw notMovable(guest, `its migration capability ${capability} is on: ${why}`,
      `Turn it off over QMP: ${JSON.stringify(remedy)}`, { capability })
  }
  const credentials = asText(settings.parameter('tls-creds'))
  if (credentials === '') return
  const remedy = { execute: 'migrate-set-parameters', arguments: { 'tls-creds': '' } }
  throw notMovable(guest, `QEMU would encrypt the stream (tls-creds is ${credentials})`,
    `Hosts encrypt among themselves; turn QEMU's TLS off over QMP: ${JSON.stringify(remedy)}`, { credentials })
}

function stateAdvice(state: GuestState): string {
  if (state === 'postmigrate') return 'It has moved already; its process here can be ended.'
  if (state === 'inmigrate') return 'It waits for a migration itself: migrate it from the host that it runs on.'
  return 'Bring it to running or paused first.'
}

function notMovable(guest: string, why: string, advice: string, data: Record<string, unknown>): PagemeshError {
  return new PagemeshError('guest-not-movable', `Guest ${guest} cannot move: ${why}.`, {
    fault: 'guest', phase: 'preparing the source', advice, data: { guest, ...data },
  })
}
