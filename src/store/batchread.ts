import { ID_BYTES, isStraight, PAGE_BYTES, runEnd, type PageBatch, type Places } from '../page/index.ts'

/** Unwanted slots that are read along rather than starting another read. */
const GAP_SLOTS_MAX = 4
/** Slots of one read. */
const RUN_SLOTS_MAX = 64

/** Pages hashed at once: a run, and the earlier ones that were fewer than a run. */
const GROUP_SLOTS_MAX = 2 * RUN_SLOTS_MAX

const NOTHING: Buffer = Buffer.alloc(0)

/** A reader's buffers: the run being read, and the pages that were read and are not hashed yet. */
export class Room {
  /** The read of a run; reused for the next, because there may be one per page. */
  readonly run = { into: NOTHING, offset: 0, slot: 0, count: 0, isStraight: false }
  readonly offsets = new Uint32Array(GROUP_SLOTS_MAX)
  readonly ids = Buffer.alloc(GROUP_SLOTS_MAX * ID_BYTES)
  /** Whether the page could be read, by index from the group's first. */
  readonly wasRead = new Uint8Array(GROUP_SLOTS_MAX)
  /** The group: its first entry, and its end (exclusive). */
  first = 0
  behind = 0
  #pages: Buffer | undefined

  /** Memory for the pages of a run that cannot be read straight into their batch. */
  get pages(): Buffer {
    this.#pages ??= Buffer.from(new ArrayBuffer(RUN_SLOTS_MAX * PAGE_BYTES))
    return this.#pages
  }

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

/**
 * Sets the room's run to a read of the entries from `first` to `behind` (exclusive): `count` slots from `slot` on go to
 * byte `offset` of `into`. Pages that lie in the batch in the order of the slab are read straight into it.
 */
export function planRun({ batch, list }: BatchRead, first: number, behind: number, room: Room): typeof room.run {
  const { run } = room
  run.isStraight = isStraight(list, first, behind)
  run.into = run.isStraight ? batch.bytes : room.pages
  run.offset = run.isStraight ? list.indices[first]! * PAGE_BYTES : 0
  run.slot = list.numbers[first]!
  run.count = list.numbers[behind - 1]! - run.slot + 1
  return run
}

/** Copies the pages of the room's run, of which `bytes` were read, to their entries, and adds it to the group. */
export function placeRun(
  { batch, list }: BatchRead, first: number, behind: number, bytes: number, room: Room,
): void {
  const { run } = room
  const whole = Math.floor(bytes / PAGE_BYTES)
  for (let entry = first; entry < behind; entry++) {
    const slot = list.numbers[entry]! - run.slot
    room.wasRead[entry - room.first] = slot < whole ? 1 : 0
    if (run.isStraight) continue
    const from = slot * PAGE_BYTES
    run.into.copy(batch.bytes, list.indices[entry]! * PAGE_BYTES, from, from + PAGE_BYTES)
  }
  room.behind = behind
}
