import { ID_BYTES, isStraight, PAGE_BYTES, runEnd, type PageBatch, type Places } from '../page/index.ts'

/** Unwanted slots that are read along rather than starting another read. */
const GAP_SLOTS_MAX = 4
/** Slots of one read. */
const RUN_SLOTS_MAX = 64

/** Pages hashed at once: a run, and the earlier ones that were fewer than a run. */
const GROUP_PLACES_MAX = 2 * RUN_SLOTS_MAX

const NOTHING: Buffer = Buffer.alloc(0)

/** A reader's buffers: the run being read, and the pages that were read and are not hashed yet. */
export class Room {
  /** The read of a run; reused for the next, because there may be one per page. */
  readonly run = { into: NOTHING, offset: 0, slot: 0, count: 0, isStraight: false }
  readonly offsets = new Uint32Array(GROUP_PLACES_MAX)
  readonly ids = Buffer.alloc(GROUP_PLACES_MAX * ID_BYTES)
  /** Whether the page could be read, by index from the group's first. */
  readonly wasRead = new Uint8Array(GROUP_PLACES_MAX)
  /** The group: its first place, and its end (exclusive). */
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
    return this.behind - this.first <= GROUP_PLACES_MAX - RUN_SLOTS_MAX
  }
}

/** A batch being filled: the places still to be read, run by run, and the damaged ones. */
export class Filling {
  readonly batch: PageBatch
  readonly places: Places
  readonly damaged: number[] = []
  readonly #signal: AbortSignal
  #next = 0

  constructor(batch: PageBatch, places: Places, signal: AbortSignal) {
    this.batch = batch
    this.places = places
    this.#signal = signal
  }

  /** Whether all was read, or nobody waits for it any more. */
  get isOver(): boolean {
    return this.#next >= this.places.count || this.#signal.aborted
  }

  /** Takes the next run: returns its first place; the next run begins at its end. */
  takeRun(): number {
    const first = this.#next
    this.#next = runEnd(this.places, first, GAP_SLOTS_MAX, RUN_SLOTS_MAX)
    return first
  }

  get next(): number {
    return this.#next
  }

  /** Leaves the places from this one on for a later read. */
  putBack(first: number): void {
    this.#next = first
  }
}

/**
 * Sets the room's run to a read of the places from `first` to `behind` (exclusive): `count` slots from `slot` on go to
 * byte `offset` of `into`. Pages that lie in the batch in the order of the slab are read straight into it.
 */
export function planRun({ batch, places }: Filling, first: number, behind: number, room: Room): typeof room.run {
  const { run } = room
  run.isStraight = isStraight(places, first, behind)
  run.into = run.isStraight ? batch.bytes : room.pages
  run.offset = run.isStraight ? places.indices[first]! * PAGE_BYTES : 0
  run.slot = places.numbers[first]!
  run.count = places.numbers[behind - 1]! - run.slot + 1
  return run
}

/** Copies the pages of the room's run, of which `bytes` were read, to their places, and adds it to the group. */
export function placeRun(
  { batch, places }: Filling, first: number, behind: number, bytes: number, room: Room,
): void {
  const { run } = room
  const whole = Math.floor(bytes / PAGE_BYTES)
  for (let place = first; place < behind; place++) {
    const slot = places.numbers[place]! - run.slot
    room.wasRead[place - room.first] = slot < whole ? 1 : 0
    if (run.isStraight) continue
    const from = slot * PAGE_BYTES
    run.into.copy(batch.bytes, places.indices[place]! * PAGE_BYTES, from, from + PAGE_BYTES)
  }
  room.behind = behind
}
