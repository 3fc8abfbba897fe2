import { totalmem } from 'node:os'

import { PagemeshError } from '../runtime/errors.ts'
import { blocksOf, findPlugged, MANAGED_BLOCKS_MAX, sortMappings } from './managedblocks.ts'
import { bytesOf, parseMapFlags, parseMaps, type Mapping } from './maps.ts'
import type { ProcessMemoryBlock } from './memory.ts'
import { processGone, type ProcessIdentity } from './process.ts'
import { readProcFile } from './processmemory.ts'

/** A guest may have more memory than its host, but beyond this factor the census would waste its time. */
const RAM_OF_HOST_MAX = 2

/** Finds a guest's memory in its QEMU process, repeatedly, because memory is hot-plugged. */
export class ManagedMemory {
  readonly #process: ProcessIdentity
  readonly #ramSizes: readonly number[]
  /** The candidates whose flags were read last, and which of them were hot-plugged memory. */
  #judged: { perhaps: string; plugged: Mapping[] } = { perhaps: '', plugged: [] }

  constructor(process: ProcessIdentity, ramSizes: readonly number[]) {
    this.#process = process
    this.#ramSizes = ramSizes
  }

  /**
   * The present blocks; at least one. Throws PagemeshError `guest-gone`, `guest-forbidden` without the right to read
   * /proc/PID, `guest-unproven` if the process maps no guest memory, or more than a host can hold.
   */
  look(): ProcessMemoryBlock[] {
    const { pid } = this.#process
    const mappings = parseMaps(readProcFile(pid, 'maps'))
    if (mappings.length === 0) throw processGone(pid)
    const { declared, perhaps } = sortMappings(mappings, this.#ramSizes)
    const found = [...declared, ...this.#pluggedOf(perhaps)]
    if (found.length === 0) throw this.#unproven('maps no memory of a guest')
    const bytes = found.reduce((sum, mapping) => sum + bytesOf(mapping), 0)
    if (found.length > MANAGED_BLOCKS_MAX || bytes > totalmem() * RAM_OF_HOST_MAX) {
      throw this.#unproven('maps more memory than a guest can have here')
    }
    return blocksOf(found)
  }

  #pluggedOf(perhaps: readonly Mapping[]): Mapping[] {
    if (perhaps.length === 0) return []
    const key = perhaps.map(({ start, end }) => `${start}-${end}`).join()
    if (key !== this.#judged.perhaps) {
      const flags = parseMapFlags(readProcFile(this.#process.pid, 'smaps'))
      this.#judged = { perhaps: key, plugged: findPlugged(perhaps, flags) }
    }
    return this.#judged.plugged
  }

  #unproven(why: string): PagemeshError {
    const { pid } = this.#process
    return new PagemeshError('guest-unproven', `Process ${pid} looks like a QEMU and ${why}.`, {
      fault: 'guest', data: { pid }, advice: 'See whether it is one.',
    })
  }
}
