import type { Clock } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { asList, asRecord, asText } from './qmpvalue.ts'
import { isAtRest, queryMigration, type QmpAsker } from './status.ts'

/** The QEMU settings that a session changed and must restore, as JSON: it survives a restart of the agent. */
export interface SettingsUndo {
  /** Earlier values of the changed capabilities and parameters. */
  capabilities: Record<string, boolean>
  parameters: Record<string, unknown>
  /** Whether a waiting QEMU would start its guest by itself and was told not to (`stop`). */
  autostart: boolean
}

/** QEMU's present settings. */
export interface QemuSettings {
  capabilities: ReadonlyMap<string, boolean>
  parameters: Record<string, unknown>
}

/** QEMU allows no change of capabilities before its migration is over; a cancel takes a moment. */
const REST_TIMEOUT_MS = 10_000
const ASK_EVERY_MS = 50

/**
 * A guest's migration settings: changed for one handoff and restored after it, because they belong to its operator.
 * Settings that this QEMU does not know are skipped.
 */
export class MigrationSettings {
  readonly #qmp: QmpAsker
  readonly #clock: Clock
  readonly #log: Log
  readonly #undo: SettingsUndo

  constructor(components: { qmp: QmpAsker; clock: Clock; log: Log }, { undo }: { undo: SettingsUndo | undefined }) {
    this.#qmp = components.qmp
    this.#clock = components.clock
    this.#log = components.log
    this.#undo = undo === undefined ? nothing() : structuredClone(undo)
  }

  get undo(): SettingsUndo {
    return structuredClone(this.#undo)
  }

  /**
   * Changes the settings that differ, after `onChange` was given all that must be restored. With `staysPaused`, a
   * waiting QEMU that would start its guest by itself is told not to. `current`: the present settings, if just asked.
   */
  async change(
    wanted: { capabilities: Record<string, boolean>; parameters?: Record<string, unknown>; staysPaused?: boolean },
    onChange: ((undo: SettingsUndo) => Promise<void>) | undefined, current?: QemuSettings,
  ): Promise<void> {
    const { capabilities, parameters } = current ?? await readSettings(this.#qmp)
    const changedCapabilities = Object.entries(wanted.capabilities)
      .filter(([name, state]) => (capabilities.get(name) ?? state) !== state)
    const changedParameters = Object.entries(wanted.parameters ?? {})
      .filter(([name, value]) => name in parameters && parameters[name] !== value)
    // If an earlier agent process changed a setting, its record of the old value stands.
    for (const [name] of changedCapabilities) this.#undo.capabilities[name] ??= capabilities.get(name) === true
    for (const [name] of changedParameters) this.#undo.parameters[name] ??= parameters[name]
    if (wanted.staysPaused === true) this.#undo.autostart = true
    if (!isNothing(this.#undo)) await onChange?.(this.undo)
    await Promise.all([
      changedCapabilities.length > 0 ? this.#sendCapabilities(Object.fromEntries(changedCapabilities)) : undefined,
      changedParameters.length > 0
        ? this.#qmp.execute('migrate-set-parameters', Object.fromEntries(changedParameters)) : undefined,
    ])
  }

  /** The guest arrived or was let run: `autostart` need not be restored any more. */
  forgetAutostart(): void {
    this.#undo.autostart = false
  }

  /**
   * Restores the changed settings; never throws. Resolves to those that could not be restored because a migration still
   * runs or QEMU does not answer; undefined if there are none.
   */
  async restore(): Promise<SettingsUndo | undefined> {
    try {
      if (!isNothing(this.#undo)) await this.#restoreAll()
    } catch (error) {
      // QEMU has ended: nothing to restore.
      if (error instanceof PagemeshError && error.code === 'guest-gone') return undefined
      this.#log.warn('a guest kept migration settings of its handoff', { error: String(error) })
    }
    return isNothing(this.#undo) ? undefined : this.undo
  }

  async #restoreAll(): Promise<void> {
    // Not awaited in post-copy, which may take any time; whoever recovers it needs these settings.
    if ((await queryMigration(this.#qmp)).status.startsWith('postcopy')) return
    if (Object.keys(this.#undo.parameters).length > 0) {
      await this.#qmp.execute('migrate-set-parameters', this.#undo.parameters)
      this.#undo.parameters = {}
    }
    if (this.#undo.autostart) await this.#waitAsBefore()
    if (Object.keys(this.#undo.capabilities).length === 0) return
    const deadline = this.#clock.now() + REST_TIMEOUT_MS
    for (;;) {
      const { status } = await queryMigration(this.#qmp)
      const refusal = await this.#tryCapabilities()
      if (refusal === undefined) return
      if (isAtRest(status) || this.#clock.now() > deadline) throw refusal
      await this.#clock.sleep(ASK_EVERY_MS)
    }
  }

  /** If no migration began, lets QEMU start the guest by itself again, as before. */
  async #waitAsBefore(): Promise<void> {
    const { status } = await queryMigration(this.#qmp)
    const state = asText(asRecord(await this.#qmp.execute('query-status'))['status'])
    if (status === 'none' && state === 'inmigrate') await this.#qmp.execute('cont')
    this.#undo.autostart = false
  }

  /** QEMU's refusal, or undefined. */
  async #tryCapabilities(): Promise<PagemeshError | undefined> {
    try {
      await this.#sendCapabilities(this.#undo.capabilities)
      this.#undo.capabilities = {}
      return undefined
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'qmp-error') return error
      throw error
    }
  }

  async #sendCapabilities(states: Record<string, boolean>): Promise<void> {
    const capabilities = Object.entries(states).map(([capability, state]) => ({ capability, state }))
    await this.#qmp.execute('migrate-set-capabilities', { capabilities })
  }
}

export async function readSettings(qmp: QmpAsker): Promise<QemuSettings> {
  const [capabilities, parameters] = await Promise.all([readCapabilities(qmp), readParameters(qmp)])
  return { capabilities, parameters }
}

export async function readCapabilities(qmp: QmpAsker): Promise<Map<string, boolean>> {
  const capabilities = new Map<string, boolean>()
  for (const entry of asList(await qmp.execute('query-migrate-capabilities')).map(asRecord)) {
    capabilities.set(asText(entry['capability']), entry['state'] === true)
  }
  return capabilities
}

async function readParameters(qmp: QmpAsker): Promise<Record<string, unknown>> {
  return asRecord(await qmp.execute('query-migrate-parameters'))
}

function nothing(): SettingsUndo {
  return { capabilities: {}, parameters: {}, autostart: false }
}

function isNothing({ capabilities, parameters, autostart }: SettingsUndo): boolean {
  return Object.keys(capabilities).length === 0 && Object.keys(parameters).length === 0 && !autostart
}
