/**
 * The contents of a report, as columns that grow: groups in rising order of their slice, each with its pages in rising
 * order. A group is the whole of its slice, or the changes in it; in changes, 0 guests mean that the origin no longer
 * holds the page.
 */
export class ReportGroups {
  groupCount = 0
  slices = new Uint16Array(16)
  /** 1 if the group is the whole of its slice. */
  wholes = new Uint8Array(16)
  /** End index (exclusive) of the pages of each group. */
  ends = new Uint32Array(16)
  count = 0
  rests = new Float64Array(32)
  guests = new Uint16Array(32)

  /** Begins a group; its slice must be greater than those before. */
  begin(slice: number, isWhole: boolean): void {
    if (this.groupCount === this.slices.length) this.#growGroups()
    this.slices[this.groupCount] = slice
    this.wholes[this.groupCount] = isWhole ? 1 : 0
    this.ends[this.groupCount] = this.count
    this.groupCount += 1
  }

  /** Adds a page to the last group. */
  push(rest: number, guests: number): void {
    if (this.count === this.rests.length) this.#growPages()
    this.rests[this.count] = rest
    this.guests[this.count] = guests
    this.count += 1
    this.ends[this.groupCount - 1] = this.count
  }

  startOf(group: number): number {
    return group === 0 ? 0 : this.ends[group - 1]!
  }

  get lastSlice(): number {
    return this.groupCount === 0 ? -1 : this.slices[this.groupCount - 1]!
  }

  #growGroups(): void {
    this.slices = grown(this.slices, new Uint16Array(this.slices.length * 2))
    this.wholes = grown(this.wholes, new Uint8Array(this.wholes.length * 2))
    this.ends = grown(this.ends, new Uint32Array(this.ends.length * 2))
  }

  #growPages(): void {
    this.rests = grown(this.rests, new Float64Array(this.rests.length * 2))
    this.guests = grown(this.guests, new Uint16Array(this.guests.length * 2))
  }
}

function grown<T extends { set(values: T): void }>(old: T, larger: T): T {
  larger.set(old)
  return larger
}
