import type { OutgoingRecordedAs, RunState } from '../conversation/index.ts'
import type { MigrationMode, ProcessIdentity, SettingsUndo } from '../guest/index.ts'
import type { StreamKnowledgeData } from '../qemu/index.ts'
import type { Journal } from './journal.ts'
import type { Unsettled } from './unsettled.ts'

/** The record of an outgoing handoff that is not settled. */
export type OutgoingUnsettled = Extract<Unsettled, { role: 'outgoing' }>

export interface OutgoingRecordInit {
  id: string
  guest: string
  to: string
  mode: MigrationMode
  process: ProcessIdentity | undefined
}

/** Keeps the record of one outgoing handoff, in the journal and among those in memory. */
export class OutgoingRecord {
  /** The guest's process, once it is found. */
  process: ProcessIdentity | undefined
  /** Knows which of QEMU's settings are still to be restored. */
  driver: { readonly undo: SettingsUndo | undefined } | undefined
  readonly #components: { journal: Journal; records: Map<string, OutgoingUnsettled> }
  readonly #init: OutgoingRecordInit

  constructor(
    components: { journal: Journal; records: Map<string, OutgoingUnsettled> }, init: OutgoingRecordInit,
  ) {
    this.#components = components
    this.#init = init
    this.process = init.process
  }

  async write(as: OutgoingRecordedAs, runState: RunState, knowledge?: StreamKnowledgeData): Promise<void> {
    const { id, guest, to, mode } = this.#init
    const undo = this.driver?.undo
    const record: OutgoingUnsettled = {
      role: 'outgoing', as, guest, other: to, mode, runState,
      ...(knowledge === undefined ? {} : { knowledge }),
      ...(this.process === undefined ? {} : { process: this.process }),
      ...(undo === undefined ? {} : { undo }),
    }
    this.#components.records.set(id, record)
    await this.#components.journal.write(id, record)
  }

  /** Writes again what is recorded, if anything is, without the settings that are restored by now. */
  async rewrite(): Promise<void> {
    const record = this.#components.records.get(this.#init.id)
    if (record !== undefined) await this.write(record.as, record.runState, record.knowledge)
  }

  async remove(): Promise<void> {
    this.#components.records.delete(this.#init.id)
    await this.#components.journal.remove(this.#init.id)
  }
}
