import { bufferOver } from '../bytes/bufferover.ts'
import { ID_BYTES, PAGE_BYTES, runEnd, type PageBatch, type Places } from '../page/index.ts'
import { SLOT_BYTES } from './format.ts'
import type { OpenStore } from './opening.ts'
import { SlotRun } from './sealing.ts'

/** Unwanted slots that are read along rather than starting another read. */
const GAP_SLOTS_MAX = 4
/** Slots of one read. */
const RUN_SLOTS_MAX = 64

/** Pages hashed at once: a run, and the earlier ones that were fewer than a run. */
const GROUP_SLOTS_MAX = 2 * RUN_SLOTS_MAX

/** A reader's buffers: the run being read, and the pages that were opened and are not hashed yet. */
export class Room {
  /** The sealed pages of a run. */
  readonly run = new SlotRun(RUN_SLOTS_MAX)
  /** How long the disk took, ms. */
  readMs = 0
  readonly offsets = new Uint32Array(GROUP_SLOTS_MAX)
  readonly ids = Buffer.alloc(GROUP_SLOTS_MAX * ID_BYTES)
  /** Whether the page could be read and opened, by index from the group's first. */
  readonly wasRead = new Uint8Array(GROUP_SLOTS_MAX)
  /** The group: its first entry, and its end (exclusive). */
  first = 0
  behind = 0

  /** Whether another run fits into the group. */
  get hasRoom(): boolean {
    return this.behind - this.first <= GROUP_SLOTS_MAX - RUN_SLOTS_MAX
  }
}

/** A batch being filled: the entries still to be read, run by run, and the damaged ones. */
export class BatchRead {
  readonly batch: PageBatch
  readonly list: Places
  readonly damaged: number[] = []
  readonly #signal: AbortSignal
  #next = 0

  constructor(batch: PageBatch, list: Places, signal: AbortSignal) {
    this.batch = batch
    this.list = list
    this.#signal = signal
  }

  /** Whether all was read, or nobody waits for it any more. */
  get isOver(): boolean {
    return this.#next >= this.list.count || this.#signal.aborted
  }

  /** Takes the next run: returns its first entry; the next run begins at its end. */
  takeRun(): number {
    const first = this.#next
    this.#next = runEnd(this.list, first, GAP_SLOTS_MAX, RUN_SLOTS_MAX)
    return first
  }

  get next(): number {
    return this.#next
  }

  /** Leaves the entries from this one on for a later read. */
  putBack(first: number): void {
    this.#next = first
  }
}

/** Where the slots of the entries from `first` to `behind` (exclusive) lie in the slab. */
export function spanOf({ numbers }: Places, first: number, behind: number): { position: number; length: number } {
  const count = numbers[behind - 1]! - numbers[first]! + 1
  return { position: numbers[first]! * SLOT_BYTES, length: count * SLOT_BYTES }
}

/** Opens the pages of a run, of which `bytes` were read into the room, to their entries, and adds it to the group. */
export function openRun(
  { batch, list }: BatchRead, first: number, behind: number, bytes: number, room: Room,
  { slots, seals }: Pick<OpenStore, 'slots' | 'seals'>,
): void {
  const whole = Math.floor(bytes / SLOT_BYTES)
  const ids = bufferOver(batch.ids)
  const { run } = room
  run.begin(batch.bytes)
  for (let entry = first; entry < behind; entry++) {
    const slot = list.numbers[entry]!
    const place = slot - list.numbers[first]!
    const idAt = list.indices[entry]! * ID_BYTES
    const offset = list.indices[entry]! * PAGE_BYTES
    if (place >= whole) run.addUnread()
    else run.add(offset, place, slots.scopes[slot]!, slot, ids.readUInt32BE(idAt), ids.readUInt32BE(idAt + 4))
  }
  seals.open(run)
  room.wasRead.set(run.isOpen.subarray(0, run.count), first - room.first)
  room.behind = behind
}
