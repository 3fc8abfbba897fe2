import { SLICE_COUNT } from '../slice.ts'

/** Changes that may always be kept; above it, at most a quarter as many as there are pages. */
const ENTRIES_FREE = 64 * 1024

/** Which pages changed and in which version last, per slice in rising order: 12 bytes per changed page. */
export class ChangeLog {
  readonly #versionsMax: number
  #starts = new Uint32Array(SLICE_COUNT + 1)
  #rests = new Float64Array(0)
  #versions = new Uint32Array(0)
  #oldest: number

  /** @param init.version the current version. @param init.versionsMax how many versions back the log may reach. */
  constructor(init: { version: number; versionsMax: number }) {
    this.#oldest = init.version
    this.#versionsMax = init.versionsMax
  }

  /** The oldest version against which changes are known. */
  get oldest(): number {
    return this.#oldest
  }

  get bytes(): number {
    return this.#starts.byteLength + this.#rests.byteLength + this.#versions.byteLength
  }

  /** Adds the pages that changed up to `version`; drops the oldest versions when the log grows too long. */
  add(version: number, changed: { starts: Uint32Array; rests: Float64Array }, pages: number): void {
    this.#oldest = Math.max(this.#oldest, version - this.#versionsMax)
    const entriesMax = Math.max(ENTRIES_FREE, pages / 4)
    this.#merge(version, changed)
    while (this.#rests.length > entriesMax && this.#oldest < version) {
      // Halves what is left each time, so that the loop ends after few rounds however many versions there are.
      this.#oldest = Math.ceil((this.#oldest + version) / 2)
      this.#merge(version, { starts: new Uint32Array(SLICE_COUNT + 1), rests: new Float64Array(0) })
    }
  }

  /** Calls `visit` with each page of a slice that changed since version `base`, in rising order. */
  forEach(slice: number, base: number, visit: (rest: number) => void): void {
    for (let entry = this.#starts[slice]!; entry < this.#starts[slice + 1]!; entry++) {
      if (this.#versions[entry]! > base) visit(this.#rests[entry]!)
    }
  }

  count(slice: number, base: number): number {
    let count = 0
    for (let entry = this.#starts[slice]!; entry < this.#starts[slice + 1]!; entry++) {
      if (this.#versions[entry]! > base) count += 1
    }
    return count
  }

  /** Merges the older changes that are still kept with those of this version. */
  #merge(version: number, changed: { starts: Uint32Array; rests: Float64Array }): void {
    const starts = new Uint32Array(SLICE_COUNT + 1)
    const rests = new Float64Array(this.#rests.length + changed.rests.length)
    const versions = new Uint32Array(rests.length)
    let count = 0
    const push = (rest: number, ofVersion: number): void => {
      rests[count] = rest
      versions[count++] = ofVersion
    }
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      let next = changed.starts[slice]!
      const end = changed.starts[slice + 1]!
      for (let entry = this.#starts[slice]!; entry < this.#starts[slice + 1]!; entry++) {
        const rest = this.#rests[entry]!
        while (next < end && changed.rests[next]! < rest) push(changed.rests[next++]!, version)
        const isAgain = next < end && changed.rests[next] === rest
        if (!isAgain && this.#versions[entry]! > this.#oldest) push(rest, this.#versions[entry]!)
      }
      while (next < end) push(changed.rests[next++]!, version)
      starts[slice + 1] = count
    }
    this.#starts = starts
    this.#rests = rests.slice(0, count)
    this.#versions = versions.slice(0, count)
  }
}
