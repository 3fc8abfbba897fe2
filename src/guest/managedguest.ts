import type { DiscoveredGuest } from './discovery.ts'
import type { GuestState } from './guest.ts'
import { ManagedMemory } from './managedmemory.ts'
import type { GuestMemory, ProcessMemoryBlock } from './memory.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { openProcessMemory } from './processmemory.ts'
import { hasRun } from './processors.ts'
import type { Manager, QemuArguments } from './qemuarguments.ts'

/** A QEMU of this host that a manager drives: its memory is read from outside, without QMP. */
export class ManagedGuest implements DiscoveredGuest {
  readonly driver = 'managed'
  readonly name: string
  readonly uuid: string | undefined
  readonly manager: Manager | undefined
  readonly pid: number
  readonly process: ProcessIdentity
  readonly memory: GuestMemory
  readonly isPrivate: boolean
  readonly #memory: ManagedMemory
  readonly #blocks: string
  /** Whether it may still wait for a migration: its memory has no content yet. */
  #waits: boolean

  /** `name`: its name on this host. Throws as `ManagedMemory.look`. */
  constructor(name: string, process: ProcessIdentity, said: QemuArguments) {
    this.name = name
    this.uuid = said.uuid
    this.manager = said.manager
    this.pid = process.pid
    this.process = process
    this.isPrivate = said.isPrivate
    this.#waits = said.waits
    this.#memory = new ManagedMemory(process, said.ramSizes)
    const blocks = this.#memory.look()
    this.#blocks = describe(blocks)
    this.memory = openProcessMemory({ guest: name, ...process, blocks })
  }

  /** Without QMP, only waiting for a migration can be recognised. */
  get lastState(): GuestState | 'unknown' {
    return this.#waits ? 'inmigrate' : 'unknown'
  }

  get alive(): boolean {
    return isAlive(this.process)
  }

  /** A guest whose threads do not show whether it ever ran counts as one that did. */
  async state(): Promise<GuestState | 'unknown'> {
    if (this.#waits && hasRun(this.pid) !== false) this.#waits = false
    return this.lastState
  }

  /** Resolves to whether the guest's memory has changed since it was found. Throws as the constructor does. */
  async refresh(): Promise<'same' | 'changed'> {
    await this.state()
    return describe(this.#memory.look()) === this.#blocks ? 'same' : 'changed'
  }

  close(): Promise<void> {
    return this.memory.close()
  }
}

function describe(blocks: readonly ProcessMemoryBlock[]): string {
  return blocks.map(({ address, bytes }) => `${address}+${bytes}`).join()
}
