/**
 * The source guest's side of a migration, over QMP.
 *
 *   prepare --> begin --> active --> pre-switchover --> device --> completed              (precopy)
 *                            |             |--> postcopy-active --> completed
 *                            |             |           `--> postcopy-paused -- resume --> postcopy-recover
 *                            `-------------`--> failed | cancelled     the guest goes on here
 *
 * QEMU waits in `pre-switchover`, its guest stopped, until it is told to go on; after that it is not asked to give up.
 * QEMU before 10.0, if cancelled while it hands its disks over, goes on without them and aborts sooner or later; if
 * its stream breaks instead, it takes them back.
 *
 * Goals: the stream reaches the agent complete and uncompressed; the agent throttles it, not QEMU.
 * Non-goals: deciding when to switch to post-copy, retrying, deciding the outcome.
 */
import { availableParallelism } from 'node:os'

import { behind } from '../runtime/behind.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { besideChannels, channelSettings, MAIN_ONLY, type BesideChannels } from './channels.ts'
import type { GuestState } from './guest.ts'
import type { MigrationMode, OutgoingMigration, PrepareOptions } from './migration.ts'
import { asCount } from './qmpvalue.ts'
import {
  blockerRefusal, busyRefusal, cannotRun, ENDED, isLeftBehind, sourceSettingsRefusal, stateRefusal, TURNED_OFF,
  unfinishedRefusal,
} from './refusals.ts'
import { readSettings, type QemuSettings } from './settings.ts'
import { QemuSide, type SideComponents, type SideInit } from './side.ts'
import { holdsMigration, isAtRest, queryBlockers, queryMigration, queryState } from './status.ts'

/** Bytes a second, faster than any memory. QEMU's default of 128 MiB/s would throttle the stream. */
const BANDWIDTH_UNLIMITED = 2 ** 40

/** Longest time for QEMU to clean up a migration that is over, ms. */
const CLEARING_MS_MAX = 5000
const CLEARING_LOOK_MS = 50

/** The longest downtime limit that QEMU takes. */
const DOWNTIME_MS_MOST = 2_000_000

/** Share of the downtime limit that QEMU gets at first, and the pass over memory from which it gets the whole. */
const DOWNTIME_AT_FIRST = 0.25
const RELAXED_AT_PASS = 4

/** Statuses from which QEMU hands its disks over. A cut post-copy, if cancelled, could never be resumed. */
const PAST_ASKING: ReadonlySet<string> = new Set([
  'device', 'postcopy-active', 'postcopy-paused', 'postcopy-recover', 'postcopy-recover-setup',
])

/** Resolves when the session knows the migration's present status. */
export async function createOutgoing(components: SideComponents, init: SideInit): Promise<OutgoingMigration> {
  const outgoing = new QemuOutgoing(components, init)
  await outgoing.learn()
  return outgoing
}

class QemuOutgoing extends QemuSide implements OutgoingMigration {
  /** Whether we started the migration: QEMU may also wait in pre-switchover for another client. */
  #isOurs = false
  /** Limit of the guest's downtime, ms. */
  #downtimeMsMax: number | undefined
  #onChange: PrepareOptions['onChange']
  #wasAskedToGiveUp = false
  #wasToldToGoOn = false

  async learn(): Promise<void> {
    this.qmp.onEvent(({ name, data }) => {
      // The destination's QEMU may have announced it, which it does as soon as the guest is loaded.
      if (name === 'RESUME' && this.#wasToldToGoOn) this.announce()
      if (name !== 'MIGRATION_PASS' || asCount(data['pass']) !== RELAXED_AT_PASS || !this.#isOurs) return
      behind(this.log, 'a guest keeps its first downtime limit', this.#relax())
    })
    this.follower.follow(({ status }) => {
      if (status === 'pre-switchover') behind(this.log, 'a guest waits for its switchover', this.#goOn())
    })
    await this.follower.learn()
  }

  /** How QEMU is set, if nothing keeps its guest from being moved. */
  async #settingsOfMovable(): Promise<QemuSettings> {
    const { guest } = this.init
    const [state, { status }, settings, blockers] = await Promise.all([
      queryState(this.qmp), queryMigration(this.qmp), readSettings(this.qmp), queryBlockers(this.qmp),
    ])
    const wrongState = stateRefusal(guest, { state, status, major: this.qmp.version.major })
    if (wrongState !== undefined) throw wrongState
    if (!isAtRest(status)) throw busyRefusal(guest, status)
    if (!await this.#isCleared()) throw unfinishedRefusal(guest, status)
    const hidden = sourceSettingsRefusal(guest, settings.capabilities, settings.parameters)
    if (hidden !== undefined) throw hidden
    if (blockers.length > 0) throw blockerRefusal(guest, blockers)
    return settings
  }

  /** Whether QEMU is done with a migration that is over, or soon enough will be. */
  async #isCleared(): Promise<boolean> {
    const until = this.clock.now() + CLEARING_MS_MAX
    while (await holdsMigration(this.qmp)) {
      if (this.clock.now() >= until) return false
      await this.clock.sleep(CLEARING_LOOK_MS)
    }
    return true
  }

  async channels({ mode, count }: { mode: MigrationMode; count: number | undefined }): Promise<BesideChannels> {
    // The one that an operator asks for is refused by `prepare` if it cannot be.
    if (this.init.isApart && count === undefined && mode === 'precopy') return MAIN_ONLY
    const { capabilities, parameters } = await readSettings(this.qmp)
    return besideChannels({ mode, count, cores: availableParallelism() }, capabilities, parameters)
  }

  async prepare(
    { mode, beside = MAIN_ONLY, maxDowntimeMs, onChange }: PrepareOptions & { maxDowntimeMs?: number },
  ): Promise<void> {
    this.requireMeeting({ mode, beside })
    const current = await this.#settingsOfMovable()
    this.#onChange = onChange
    const downtimeMs = Math.ceil(maxDowntimeMs ?? asCount(current.parameters['downtime-limit']))
    this.#downtimeMsMax = downtimeMs === 0 ? undefined : downtimeMs
    const channels = channelSettings(beside)
    await this.settings.change({
      capabilities: {
        ...TURNED_OFF,
        ...channels.capabilities,
        'events': true, 'return-path': true, 'pause-before-switchover': true, 'postcopy-ram': mode === 'postcopy',
      },
      parameters: {
        ...channels.parameters,
        'max-bandwidth': BANDWIDTH_UNLIMITED,
        'max-postcopy-bandwidth': 0,
        'mode': 'normal',
        // References pass faster than literals: QEMU overestimates the bandwidth and would leave too much for the end.
        ...(downtimeMs === 0 ? {} : { 'downtime-limit': Math.ceil(downtimeMs * DOWNTIME_AT_FIRST) }),
      },
    }, onChange, current)
    const state = await queryState(this.qmp)
    if (state === 'running') return
    const { status } = await queryMigration(this.qmp)
    if (isLeftBehind(state, status)) await this.#becomePaused()
    // QEMU before 10.0 aborts when a guest moves that arrived paused and was never let run.
    else await this.claimDisks()
  }

  async begin(socketPath: string): Promise<void> {
    await this.beginAt(`unix:${socketPath}`)
  }

  protected override async beginAt(uri: string): Promise<void> {
    this.#isOurs = true
    await this.follower.expect(() => this.qmp.execute('migrate', { uri }))
  }

  async resume(socketPath: string): Promise<void> {
    await this.qmp.execute('migrate', { uri: `unix:${socketPath}`, resume: true })
  }

  async startPostcopy(): Promise<void> {
    await this.qmp.execute('migrate-start-postcopy')
  }

  async allowPause(): Promise<void> {
    // The limit is not to be relaxed to a smaller one any more.
    this.#downtimeMsMax = undefined
    await this.settings.change(
      { capabilities: {}, parameters: { 'downtime-limit': DOWNTIME_MS_MOST } }, this.#onChange)
  }

  async cancel(): Promise<boolean> {
    this.#wasAskedToGiveUp = true
    // An earlier agent process may have told it to go on.
    if (this.#wasToldToGoOn || PAST_ASKING.has((await this.progress()).status)) return false
    await this.qmp.execute('migrate_cancel')
    // Before 9.1, QEMU may miss the cancel just before pre-switchover and wait for ever.
    await this.#continueFrom('cancelling')
    return true
  }

  /** Allows the whole downtime limit: a guest that dirties its memory fast may need it. */
  async #relax(): Promise<void> {
    if (this.#downtimeMsMax === undefined) return
    await this.qmp.execute('migrate-set-parameters', { 'downtime-limit': this.#downtimeMsMax })
  }

  async #goOn(): Promise<void> {
    if (!this.#isOurs || this.#wasAskedToGiveUp) return
    this.#wasToldToGoOn = true
    await this.#continueFrom('pre-switchover')
  }

  /** Lets QEMU go on if it waits in `status`. */
  async #continueFrom(status: string): Promise<void> {
    try {
      await this.qmp.execute('migrate-continue', { state: status })
    } catch (error) {
      // QEMU no longer waits: its migration failed or ended.
      if (!(error instanceof PagemeshError) || error.code !== 'qmp-error') throw error
    }
  }

  async takeBack(runState: GuestState): Promise<GuestState> {
    const state = await queryState(this.qmp)
    if (state !== 'postmigrate') return state
    this.#wasToldToGoOn = true
    if (runState === 'running') await this.letRun()
    else if (ENDED.has(runState)) await this.claimDisks()
    else await this.#becomePaused()
    return queryState(this.qmp)
  }

  /**
   * Brings a paused guest out of `postmigrate`, a state from which QEMU migrates no guest. Only `cont` does that, so
   * `stop` is sent together with it: the vCPUs run for a fraction of a millisecond.
   */
  async #becomePaused(): Promise<void> {
    const letRun = this.letRun()
    const stopped = this.qmp.execute('stop')
    await Promise.all([letRun, stopped])
    const state = await queryState(this.qmp)
    if (state !== 'paused') throw cannotRun(this.init.guest, `it should be paused and is ${state}`)
  }
}
