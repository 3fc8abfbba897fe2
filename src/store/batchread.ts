import { bufferOver } from '../bytes/bufferover.ts'
import { ID_BYTES, PAGE_BYTES, runEnd, type PageBatch, type Places } from '../page/index.ts'
import { SLOT_BYTES } from './format.ts'
import { SlotRun } from './sealing.ts'
import type { Slots } from './slots.ts'

/** Unwanted slots that are read along rather than starting another read. */
const GAP_SLOTS_MAX = 4
/** Slots of one read. */
const RUN_SLOTS_MAX = 64

/** Slots, and entries, opened and hashed at once: a run, and the earlier ones that were fewer than a run. */
const GROUP_SLOTS_MAX = 2 * RUN_SLOTS_MAX

/** A reader's buffers: a group of pages that were read and are not opened and hashed yet. */
export class Room {
  readonly run = new SlotRun(GROUP_SLOTS_MAX)
  readonly offsets = new Uint32Array(GROUP_SLOTS_MAX)
  readonly ids = Buffer.alloc(GROUP_SLOTS_MAX * ID_BYTES)
  /** How long the disk took, ms. */
  readMs = 0
  /** The group: its first entry, and its end (exclusive). */
  first = 0
  behind = 0
  /** Slots that were read, those between wanted ones too. */
  slots = 0

  begin({ batch }: BatchRead, first: number): void {
    this.run.begin(batch.bytes)
    this.first = this.behind = first
    this.slots = 0
  }

  /** Whether another run fits into the group: one slot may have several entries, and some have none. */
  get hasRoom(): boolean {
    return Math.max(this.slots, this.behind - this.first) <= GROUP_SLOTS_MAX - RUN_SLOTS_MAX
  }

  /** Where in the room the next run goes. */
  get end(): number {
    return this.slots * SLOT_BYTES
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

/** Adds the entries of a run, of which `bytes` were read to the room's end, to its group. */
export function addRun(
  { batch, list }: BatchRead, first: number, behind: number, bytes: number, room: Room, { scopes }: Slots,
): void {
  const whole = Math.floor(bytes / SLOT_BYTES)
  const ids = bufferOver(batch.ids)
  for (let entry = first; entry < behind; entry++) {
    const slot = list.numbers[entry]!
    const place = slot - list.numbers[first]!
    const idAt = list.indices[entry]! * ID_BYTES
    const offset = list.indices[entry]! * PAGE_BYTES
    if (place >= whole) room.run.addUnread()
    else {
      const [high, low] = [ids.readUInt32BE(idAt), ids.readUInt32BE(idAt + 4)]
      room.run.add(offset, room.slots + place, scopes[slot]!, slot, high, low)
    }
  }
  room.slots += list.numbers[behind - 1]! - list.numbers[first]! + 1
  room.behind = behind
}
