import { ID_BYTES, PAGE_BYTES, type PageBatch } from '../page/index.ts'
import { isStraight, runEnd, type SlotList } from './slotlist.ts'

/** Unwanted slots that are read along rather than begin another read. */
const GAP_SLOTS_MAX = 4
/** Slots of one read. */
const RUN_SLOTS_MAX = 64

/** Slots that are hashed at once: a run, and those before it that are fewer than a run's. */
const GROUP_SLOTS_MAX = 2 * RUN_SLOTS_MAX

const NOTHING: Buffer = Buffer.alloc(0)

/** What a reader works with: the run that is read, and slots that were read until their pages are hashed. */
export class Room {
  /** The read of a run; used again for the next, as there may be one a page. */
  readonly run = { into: NOTHING, offset: 0, slot: 0, count: 0, isStraight: false }
  readonly offsets = new Uint32Array(GROUP_SLOTS_MAX)
  readonly ids = Buffer.alloc(GROUP_SLOTS_MAX * ID_BYTES)
  /** Whether the page was there to be read, by entry from the group's first. */
  readonly wasRead = new Uint8Array(GROUP_SLOTS_MAX)
  /** The group: its first entry, and the one behind its last. */
  first = 0
  behind = 0
  #pages: Buffer | undefined

  /** Memory for the pages of a run that cannot be read into their batch. */
  get pages(): Buffer {
    this.#pages ??= Buffer.from(new ArrayBuffer(RUN_SLOTS_MAX * PAGE_BYTES))
    return this.#pages
  }

  /** Whether another run fits into the group. */
  get hasRoom(): boolean {
    return this.behind - this.first <= GROUP_SLOTS_MAX - RUN_SLOTS_MAX
  }
}

/** A batch on its way: the slots that are still to be read, run by run, and what turned out damaged. */
export class BatchRead {
  readonly batch: PageBatch
  readonly list: SlotList
  readonly damaged: number[] = []
  readonly #signal: AbortSignal
  #next = 0

  constructor(batch: PageBatch, list: SlotList, signal: AbortSignal) {
    this.batch = batch
    this.list = list
    this.#signal = signal
  }

  /** Whether all was read, or nobody waits for it any more. */
  get isOver(): boolean {
    return this.#next >= this.list.count || this.#signal.aborted
  }

  /** Takes the next run: returns its first entry; that of the next one is behind its last. */
  takeRun(): number {
    const first = this.#next
    this.#next = runEnd(this.list, first, GAP_SLOTS_MAX, RUN_SLOTS_MAX)
    return first
  }

  get next(): number {
    return this.#next
  }

  /** Leaves what comes from this entry on to be read later. */
  putBack(first: number): void {
    this.#next = first
  }
}

/**
 * Sets the room's run to a read of the entries from `first` to `behind`: `count` slots from `slot` on go to byte
 * `offset` of `into`. Pages that lie in the batch as they lie in the slab go right into it.
 */
export function planRun({ batch, list }: BatchRead, first: number, behind: number, room: Room): typeof room.run {
  const { run } = room
  run.isStraight = isStraight(list, first, behind)
  run.into = run.isStraight ? batch.bytes : room.pages
  run.offset = run.isStraight ? list.indices[first]! * PAGE_BYTES : 0
  run.slot = list.slots[first]!
  run.count = list.slots[behind - 1]! - run.slot + 1
  return run
}

/** Brings the pages of the room's run, of which `bytes` were read, to where they belong, and adds it to the group. */
export function placeRun(
  { batch, list }: BatchRead, first: number, behind: number, bytes: number, room: Room,
): void {
  const { run } = room
  const whole = Math.floor(bytes / PAGE_BYTES)
  for (let entry = first; entry < behind; entry++) {
    const slot = list.slots[entry]! - run.slot
    room.wasRead[entry - room.first] = slot < whole ? 1 : 0
    if (run.isStraight) continue
    const from = slot * PAGE_BYTES
    run.into.copy(batch.bytes, list.indices[entry]! * PAGE_BYTES, from, from + PAGE_BYTES)
  }
  room.behind = behind
}
