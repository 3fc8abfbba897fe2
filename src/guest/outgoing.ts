/**
 * The source guest's side of a migration, over QMP.
 *
 *   prepare --> begin --> active --> pre-switchover --> device --> completed              (precopy)
 *                            |             |--> postcopy-active --> completed
 *                            |             |           `--> postcopy-paused -- resume --> postcopy-recover
 *                            `-------------`--> failed | cancelled     the guest goes on here
 *
 * QEMU waits in `pre-switchover`, its guest stopped, until it is told to go on: from then on it is not asked to give
 * up. A QEMU before 10.0 that is cancelled while it hands its disks over goes on without them, and aborts sooner or
 * later; one whose stream breaks meanwhile takes them back.
 *
 * Goals: the guest's stream reaches us whole and unpacked, and QEMU never throttles it: the agent does.
 * Non-goals: deciding when to switch to postcopy, retrying, deciding what became of the guest.
 */
import { availableParallelism } from 'node:os'

import { behind } from '../runtime/behind.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { besideChannels, channelSettings, MAIN_ONLY, type BesideChannels } from './channels.ts'
import type { GuestState } from './guest.ts'
import type { MigrationMode, OutgoingMigration, PrepareOptions } from './migration.ts'
import {
  blockerRefusal, busyRefusal, cannotRun, ENDED, isLeftBehind, sourceSettingsRefusal, stateRefusal, TURNED_OFF,
  unfinishedRefusal,
} from './refusals.ts'
import { asCount } from './qmpvalue.ts'
import { readSettings, type QemuSettings } from './settings.ts'
import { QemuSide, type SideComponents, type SideInit } from './side.ts'
import { holdsMigration, isAtRest, queryBlockers, queryMigration, queryState } from './status.ts'

/** Bytes a second, beyond any memory's speed. QEMU's own default of 128 MiB/s would hold the stream back. */
const BANDWIDTH_UNLIMITED = 2 ** 40

/** How long QEMU may take to clear a migration away that is over, ms. */
const CLEARING_MS_MAX = 5000
const CLEARING_LOOK_MS = 50

/** What part of its downtime QEMU may reckon with at first, and the pass over the memory with which that ends. */
const DOWNTIME_AT_FIRST = 0.25
const RELAXED_AT_PASS = 4

/** It hands its disks over, or has: one whose post-copy is cut could never go on, here or there. */
const PAST_ASKING: ReadonlySet<string> = new Set([
  'device', 'postcopy-active', 'postcopy-paused', 'postcopy-recover', 'postcopy-recover-setup',
])

/** Resolves when the session knows how things stand. */
export async function createOutgoing(components: SideComponents, init: SideInit): Promise<OutgoingMigration> {
  const outgoing = new QemuOutgoing(components, init)
  await outgoing.learn()
  return outgoing
}

class QemuOutgoing extends QemuSide implements OutgoingMigration {
  /** Whether it waits before switchover for us, and for nobody else who migrates it. */
  #isOurs = false
  /** What the guest may be down for at the most, ms. */
  #downtimeMsMax: number | undefined
  #wasAskedToGiveUp = false
  #wasToldToGoOn = false

  async learn(): Promise<void> {
    this.qmp.onEvent(({ name, data }) => {
      if (name !== 'MIGRATION_PASS' || asCount(data['pass']) !== RELAXED_AT_PASS || !this.#isOurs) return
      behind(this.log, 'a guest keeps its first limit of downtime', this.#relax())
    })
    this.follower.follow(({ status }) => {
      if (status === 'pre-switchover') behind(this.log, 'a guest waits for its switchover', this.#goOn())
    })
    await this.follower.learn()
  }

  async check(): Promise<void> {
    await this.#settingsOfMovable()
  }

  /** How QEMU is set, if nothing keeps its guest from being moved. */
  async #settingsOfMovable(): Promise<QemuSettings> {
    const { guest } = this.init
    const [state, { status }, settings, blockers, isHeld] = await Promise.all([
      queryState(this.qmp), queryMigration(this.qmp), readSettings(this.qmp), queryBlockers(this.qmp),
      holdsMigration(this.qmp),
    ])
    const wrongState = stateRefusal(guest, { state, status, major: this.qmp.version.major })
    if (wrongState !== undefined) throw wrongState
    if (!isAtRest(status)) throw busyRefusal(guest, status)
    if (isHeld && !await this.#isCleared()) throw unfinishedRefusal(guest, status)
    const hidden = sourceSettingsRefusal(guest, settings.capabilities, settings.parameters)
    if (hidden !== undefined) throw hidden
    if (blockers.length > 0) throw blockerRefusal(guest, blockers)
    return settings
  }

  /** Whether QEMU is done with a migration that is over, soon enough. */
  async #isCleared(): Promise<boolean> {
    const until = this.clock.now() + CLEARING_MS_MAX
    while (this.clock.now() < until) {
      await this.clock.sleep(CLEARING_LOOK_MS)
      if (!await holdsMigration(this.qmp)) return true
    }
    return false
  }

  async channels({ mode, count }: { mode: MigrationMode; count: number | undefined }): Promise<BesideChannels> {
    const { capabilities, parameters } = await readSettings(this.qmp)
    return besideChannels({ mode, count, cores: availableParallelism() }, capabilities, parameters)
  }

  async prepare(
    { mode, beside = MAIN_ONLY, maxDowntimeMs, onChange }: PrepareOptions & { maxDowntimeMs?: number },
  ): Promise<void> {
    const current = await this.#settingsOfMovable()
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
        // Refs go faster than literals: by what went last, QEMU would leave more for the end than it takes to send.
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
    this.#isOurs = true
    await this.follower.expect(() => this.qmp.execute('migrate', { uri: `unix:${socketPath}` }))
  }

  async resume(socketPath: string): Promise<void> {
    await this.qmp.execute('migrate', { uri: `unix:${socketPath}`, resume: true })
  }

  async startPostcopy(): Promise<void> {
    await this.qmp.execute('migrate-start-postcopy')
  }

  async cancel(): Promise<boolean> {
    this.#wasAskedToGiveUp = true
    // An agent that died may have told it to go on.
    if (this.#wasToldToGoOn || PAST_ASKING.has((await this.progress()).status)) return false
    await this.qmp.execute('migrate_cancel')
    // One that was about to wait, and did not see that it was cancelled, would wait for ever (before 9.1).
    await this.#continueFrom('cancelling')
    return true
  }

  /** A guest that dirties its memory so fast may need all the downtime that it was allowed. */
  async #relax(): Promise<void> {
    if (this.#downtimeMsMax === undefined) return
    await this.qmp.execute('migrate-set-parameters', { 'downtime-limit': this.#downtimeMsMax })
  }

  async #goOn(): Promise<void> {
    if (!this.#isOurs || this.#wasAskedToGiveUp) return
    this.#wasToldToGoOn = true
    await this.#continueFrom('pre-switchover')
  }

  /** Ends QEMU's waiting, if it is there. */
  async #continueFrom(status: string): Promise<void> {
    try {
      await this.qmp.execute('migrate-continue', { state: status })
    } catch (error) {
      // It has gone on by itself: its migration failed, or ended.
      if (!(error instanceof PagemeshError) || error.code !== 'qmp-error') throw error
    }
  }

  async takeBack(runState: GuestState): Promise<GuestState> {
    const state = await queryState(this.qmp)
    if (state !== 'postmigrate') return state
    if (runState === 'running') await this.letRun()
    else if (ENDED.has(runState)) await this.claimDisks()
    else await this.#becomePaused()
    return queryState(this.qmp)
  }

  /**
   * Leads a paused guest out of `postmigrate`, from where QEMU moves no guest. It knows no other way than `cont`, so
   * `stop` is said in the same breath: the processors run for a fraction of a millisecond.
   */
  async #becomePaused(): Promise<void> {
    const letRun = this.letRun()
    const stopped = this.qmp.execute('stop')
    await Promise.all([letRun, stopped])
    const state = await queryState(this.qmp)
    if (state !== 'paused') throw cannotRun(this.init.guest, `it should be paused and is ${state}`)
  }
}
