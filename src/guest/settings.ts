import type { Log } from '../runtime/log.ts'
import type { QmpClient } from './qmp.ts'
import { asList, asRecord, asText } from './qmpvalue.ts'

/**
 * A guest's migration settings: changed for one handoff, and put back after it, because they are its operator's.
 * What this QEMU does not know is left alone.
 */
export class MigrationSettings {
  readonly #qmp: QmpClient
  readonly #capabilities: ReadonlyMap<string, boolean>
  readonly #parameters: Record<string, unknown>
  #changedCapabilities = new Map<string, boolean>()
  #changedParameters: Record<string, unknown> = {}

  private constructor(qmp: QmpClient, capabilities: Map<string, boolean>, parameters: Record<string, unknown>) {
    this.#qmp = qmp
    this.#capabilities = capabilities
    this.#parameters = parameters
  }

  static async read(qmp: QmpClient): Promise<MigrationSettings> {
    const capabilities = new Map<string, boolean>()
    for (const entry of asList(await qmp.execute('query-migrate-capabilities')).map(asRecord)) {
      capabilities.set(asText(entry['capability']), entry['state'] === true)
    }
    return new MigrationSettings(qmp, capabilities, asRecord(await qmp.execute('query-migrate-parameters')))
  }

  /** Whether the capability was on when read; false as well if QEMU does not know it. */
  isOn(capability: string): boolean {
    return this.#capabilities.get(capability) === true
  }

  parameter(name: string): unknown {
    return this.#parameters[name]
  }

  /** Sets the capabilities that differ. */
  async setCapabilities(wanted: Readonly<Record<string, boolean>>): Promise<void> {
    const changes = Object.entries(wanted).filter(([name, state]) => (this.#capabilities.get(name) ?? state) !== state)
    if (changes.length === 0) return
    await this.#sendCapabilities(changes)
    for (const [name] of changes) this.#changedCapabilities.set(name, this.#capabilities.get(name) === true)
  }

  /** Sets the parameters that differ. */
  async setParameters(wanted: Readonly<Record<string, number>>): Promise<void> {
    const changes = Object.entries(wanted).filter(([name, value]) =>
      name in this.#parameters && this.#parameters[name] !== value)
    if (changes.length === 0) return
    await this.#qmp.execute('migrate-set-parameters', Object.fromEntries(changes))
    for (const [name] of changes) this.#changedParameters[name] = this.#parameters[name]
  }

  /** Puts back what was changed. Never throws: a guest that moved away or died needs nothing back. */
  async restore(log: Log): Promise<void> {
    const capabilities = [...this.#changedCapabilities]
    const parameters = this.#changedParameters
    this.#changedCapabilities = new Map()
    this.#changedParameters = {}
    try {
      if (capabilities.length > 0) await this.#sendCapabilities(capabilities)
      if (Object.keys(parameters).length > 0) await this.#qmp.execute('migrate-set-parameters', parameters)
    } catch (error) {
      log.debug('a guest kept the migration settings of its handoff', { error: String(error) })
    }
  }

  async #sendCapabilities(changes: [string, boolean][]): Promise<void> {
    const capabilities = changes.map(([capability, state]) => ({ capability, state }))
    await this.#qmp.execute('migrate-set-capabilities', { capabilities })
  }
}
