export interface RamBlock {
  /** QEMU's name of the block, such as `pc.ram`. */
  name: string
  /** Bytes in use; a multiple of PAGE_BYTES. */
  bytes: number
}

export interface ProcessMemoryBlock extends RamBlock {
  /** Address of the block's first byte in the process. */
  address: bigint
}

/** Where a process maps a guest's memory. Plain data, so that it can be sent to another thread. */
export interface ProcessMemoryLayout {
  guest: string
  pid: number
  /** Start time of the process, so that a later one with the same pid is never read. */
  startTicks: number
  blocks: ProcessMemoryBlock[]
}

/**
 * A guest's memory, read-only. Reading never changes the guest: absent and swapped pages are never touched.
 * Every method may reject with PagemeshError `guest-gone`: a guest may end at any time.
 */
export interface GuestMemory {
  /** The guest's name, unique on its host. */
  readonly name: string
  readonly blocks: readonly RamBlock[]
  /** Writes for each of `pageCount` pages from `firstPage` of block `block`: 1 into `into[i]` if resident, else 0. */
  resident(block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void>
  /** Reads `pageCount` consecutive resident pages into `into` (4096 bytes each). */
  read(block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void>
  /** For memory of another process: what a worker thread needs to open it. */
  readonly layout?: ProcessMemoryLayout
  close(): Promise<void>
}
