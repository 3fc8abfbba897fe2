import type { Census } from '../census/index.ts'
import type { CopyNews, Reason, SpentBytes, Verdict } from '../conversation/index.ts'
import { QmpOutgoingDriver, type Guest, type MigrationMode, type SettingsUndo } from '../guest/index.ts'
import { Outgoing, type OutgoingInit } from '../handoff/index.ts'
import type { Member, Mesh } from '../mesh/index.ts'
import type { PageScopes } from '../page/index.ts'
import type { CompressionMode, PassageThreads } from '../passage/index.ts'
import { behind } from '../runtime/behind.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import type { HandoffMeasure, HandoffResult } from '../transfer/index.ts'
import type { MigrateRequest } from './api.ts'
import type { GuestList } from './guestlist.ts'
import type { History } from './history.ts'
import type { Journal } from './journal.ts'
import { OutgoingRecord, type OutgoingUnsettled } from './outgoingrecord.ts'
import { mayLive, type Unsettled } from './unsettled.ts'

export interface OutgoingHandoffsComponents {
  clock: Clock
  log: Log
  random: Random
  mesh: Mesh
  scopes: PageScopes
  threads: PassageThreads
  census: Census
  guests: GuestList
  history: History
  journal: Journal
  spent: () => SpentBytes
  standBack: () => () => void
}

const ID_BYTES = 16
/** Between two tries to reach the QEMU of a handoff that an earlier agent process left. */
const RETRY_MS = 2000
const KEPT_MAX = 100
/** States that only news from outside can change. */
const AT_REST: ReadonlySet<Outgoing['state']['at']> = new Set(['over', 'unconfirmed', 'cut'])
/** States in which no QEMU here decides any more: it has, or it has ended. */
const DECIDED: ReadonlySet<Outgoing['state']['at']> = new Set(['over', 'unconfirmed', 'orphaned'])

/** Outgoing handoffs of this host: those under way, and those that are not settled. */
export class OutgoingHandoffs {
  readonly #components: OutgoingHandoffsComponents
  readonly #init: { directory: string; references: boolean; compression: CompressionMode }
  readonly #live = new Map<string, Outgoing>()
  readonly #records = new Map<string, OutgoingUnsettled>()
  /** Handoffs of an earlier agent process that are not taken up yet, and their guests. */
  readonly #untaken = new Map<string, string>()
  readonly #life = new AbortController()

  constructor(
    components: OutgoingHandoffsComponents,
    init: { directory: string; references: boolean; compression: CompressionMode },
  ) {
    this.#components = components
    this.#init = init
  }

  /** Creates the outgoing end of a new handoff. */
  create(
    request: MigrateRequest, plan: 'move' | 'dryRun', onMeasure: (measure: HandoffMeasure) => void,
  ): Outgoing {
    const { maxBandwidth, maxDowntimeMs, channels, timeoutMs, guest, to } = request
    const mode = preparedModeOf(request)
    const isLate = mode !== (request.mode ?? 'precopy')
    const id = Buffer.from(this.#components.random.bytes(ID_BYTES)).toString('hex')
    return this.#make(id, { guest, to, mode }, {
      plan: plan === 'move' ? { kind: 'move', mode, ...(isLate ? { isLate } : {}) } : { kind: 'dryRun' },
      onMeasure,
      ...(maxBandwidth === undefined ? {} : { bytesPerSecondMax: maxBandwidth }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(request.onTimeout === undefined || request.mode === 'postcopy' ? {} : { onTimeout: request.onTimeout }),
    }, {
      ...(maxDowntimeMs === undefined ? {} : { downtimeMsMax: maxDowntimeMs }),
      ...(channels === undefined ? {} : { channels }),
    })
  }

  /** Call it when an outgoing end has rested. */
  rested(outgoing: Outgoing): void {
    if (outgoing.state.at !== 'over') return
    this.#live.delete(outgoing.init.id)
    behind(this.#components.log, 'the session of a guest could not be closed', outgoing.stop())
  }

  /** This guest's cut post-copy, if there is one. */
  cut(guest: string): Outgoing | undefined {
    return [...this.#live.values()].find(({ init, state }) => init.guest === guest && state.at === 'cut')
  }

  /**
   * Whether an earlier handoff of this guest may still be decided here: its end would take the next one's news as its
   * own.
   */
  isUndecided(guest: string): boolean {
    return [...this.#untaken.values()].includes(guest) ||
      [...this.#live.values()].some(({ init, state }) => init.guest === guest && !DECIDED.has(state.at))
  }

  /** Those whose guests run at their destinations while the rest of their memory follows. */
  serving(): Outgoing[] {
    return [...this.#live.values()].filter(({ isServing }) => isServing)
  }

  /** Guests that left here, or are leaving, and whose arrival is not confirmed. */
  unsettled(): string[] {
    return [...this.#records.values()].filter(({ as }) => as !== 'kept').map(({ guest }) => guest)
  }

  /** Resumes a handoff that an earlier agent process left. */
  adopt(id: string, record: OutgoingUnsettled): void {
    this.#records.set(id, record)
    // A guest that was kept needs no more than answers, unless QEMU settings are still to be restored.
    if (record.as === 'kept' && record.undo === undefined) return
    this.#untaken.set(id, record.guest)
    behind(this.#components.log, 'a handoff of an earlier agent was not taken up', this.#restartUntilDone(id, record))
  }

  /** Tells the destination what became of this host's copy. */
  async asked(id: string, copy: CopyNews, from: Member): Promise<Verdict> {
    const record = this.#records.get(id)
    let outgoing = this.#live.get(id)
    if ((outgoing?.init.to ?? record?.other) !== from.name) return { verdict: 'unknown' }
    if (outgoing === undefined && record !== undefined) {
      if (record.as === 'kept') return { verdict: 'kept' }
      outgoing = await this.#restart(id, record)
    }
    if (outgoing === undefined) return { verdict: 'unknown' }
    const verdict = await outgoing.asked(copy)
    this.rested(outgoing)
    return verdict
  }

  /** Asks handoffs under way to end, and waits for their QEMUs' answers until `patience` resolves. */
  async stop(reason: Reason, patience: Promise<void>): Promise<void> {
    this.#life.abort()
    const running = [...this.#live.values()].filter(({ state }) => !AT_REST.has(state.at))
    for (const outgoing of running) outgoing.cancel(reason)
    await Promise.race([Promise.all(running.map((outgoing) => outgoing.rested())), patience])
    await Promise.allSettled([...this.#live.values()].map((outgoing) => outgoing.stop()))
  }

  async #restartUntilDone(id: string, record: OutgoingUnsettled): Promise<void> {
    const { clock, history } = this.#components
    while (!this.#life.signal.aborted) {
      try {
        const outgoing = await this.#restart(id, record)
        // Not awaited: this may take days.
        behind(this.#components.log, 'a handoff is not in the history', outgoing.rested().then(async (result) => {
          this.rested(outgoing)
          await history.add(result, { direction: 'outgoing' })
        }))
        return
      } catch (error) {
        this.#components.log.debug('the QEMU of an unsettled handoff does not answer yet', { id, error: String(error) })
      }
      await clock.sleep(RETRY_MS, this.#life.signal)
    }
  }

  async #restart(id: string, record: OutgoingUnsettled): Promise<Outgoing> {
    const known = this.#live.get(id)
    if (known !== undefined) return known
    const { guest, other, mode, undo, knowledge } = record
    const outgoing = this.#make(id, { guest, to: other, mode }, {
      plan: { kind: 'move', mode }, ...(knowledge === undefined ? {} : { continuation: knowledge }),
    }, { ...(undo === undefined ? {} : { undo }), process: record.process })
    try {
      await outgoing.restart(record, mayLive(record))
      this.#untaken.delete(id)
      return outgoing
    } catch (error) {
      this.#live.delete(id)
      await outgoing.stop()
      throw error
    }
  }

  /** Forgets the oldest records of kept guests beyond a limit: destinations ask soon after the handoff. */
  async #forgetOldest(): Promise<void> {
    const kept = [...this.#records].filter(([, { as }]) => as === 'kept')
    for (const [id] of kept.slice(0, -KEPT_MAX)) {
      this.#records.delete(id)
      await this.#components.journal.remove(id)
    }
  }

  /** What is known of a guest's pages, if they were last hashed in the scope that the guest has now. */
  #pagesOf(guest: string): Pick<OutgoingInit, 'census' | 'scope'> {
    const { census, scopes, guests } = this.#components
    if (guests.isPrivate(guest)) return { scope: 'private', census: undefined }
    const scope = scopes.of(guest)
    const found = this.#init.references ? census.of(guest) : undefined
    return { scope, census: found?.scope === scope ? found : undefined }
  }

  #make(
    id: string, about: Pick<OutgoingInit, 'guest' | 'to' | 'mode'>,
    init: Omit<OutgoingInit, 'id' | 'guest' | 'to' | 'mode' | 'createDriver' | 'census' | 'scope' | 'compression' |
      'standBack' | 'record' | 'forget' | 'onAmended' | 'onClosed'>,
    qemu: { undo?: SettingsUndo; process?: OutgoingUnsettled['process']; downtimeMsMax?: number; channels?: number },
  ): Outgoing {
    const { clock, random, guests, journal, history, standBack } = this.#components
    const { guest: name, mode } = about
    const kept = new OutgoingRecord({ journal, records: this.#records }, { ...about, id, process: qemu.process })
    const find = async (): Promise<Guest> => {
      const guest = await guests.require(name)
      kept.process = requireSame(guest, qemu.process)
      return guest
    }
    const outgoing = new Outgoing(this.#components, {
      ...about, ...init, id, standBack,
      ...this.#pagesOf(name),
      compression: this.#init.compression,
      createDriver: (onNews) => {
        const driver = new QmpOutgoingDriver({ clock, random }, {
          directory: this.#init.directory, mode, undo: qemu.undo, find, onNews,
          onChange: () => kept.write('moving', 'unknown'),
          ...(qemu.downtimeMsMax === undefined ? {} : { downtimeMsMax: qemu.downtimeMsMax }),
          ...(qemu.channels === undefined ? {} : { channels: qemu.channels }),
        })
        kept.driver = driver
        return driver
      },
      record: async (as, runState, knowledge) => {
        await kept.write(as, runState, knowledge)
        if (as === 'kept') await this.#forgetOldest()
      },
      forget: () => kept.remove(),
      onClosed: () => kept.rewrite(),
      onAmended: (result: HandoffResult) => {
        behind(this.#components.log, 'a handoff is not in the history', history.add(result, { direction: 'outgoing' }))
      },
    })
    this.#live.set(id, outgoing)
    return outgoing
  }
}

/** What both QEMUs are prepared for: also for a post-copy that begins only if pre-copy takes too long. */
export function preparedModeOf({ mode = 'precopy', onTimeout }: MigrateRequest): MigrationMode {
  return onTimeout === 'postcopy' ? 'postcopy' : mode
}

/** The guest's process. Throws PagemeshError `guest-gone` if the record names another process. */
export function requireSame(guest: Guest, recorded: Unsettled['process']): Unsettled['process'] {
  const { process } = guest
  if (recorded === undefined || (process?.pid === recorded.pid && process.startTicks === recorded.startTicks)) {
    return process
  }
  throw new PagemeshError('guest-gone', `The QEMU of ${guest.name} is not the one of the handoff.`, {
    fault: 'guest', data: { guest: guest.name, pid: recorded.pid },
  })
}
