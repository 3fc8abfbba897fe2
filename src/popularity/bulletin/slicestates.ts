import { SLICE_COUNT } from '../slice.ts'

/** What the view's contents of a slice are: outdated, or told by another than the publisher. */
const FLAG = { behind: 1, hearsay: 2 } as const

/**
 * The state of each slice in the view: its publisher, by tag and incarnation, the version in the view, and when the
 * publisher was last heard.
 */
export class SliceStates {
  readonly publishers = new Uint32Array(SLICE_COUNT)
  readonly incarnations = new Uint32Array(SLICE_COUNT)
  readonly versions = new Uint32Array(SLICE_COUNT)
  /** By the clock, ms. */
  readonly heardAt = new Float64Array(SLICE_COUNT)
  readonly #flags = new Uint8Array(SLICE_COUNT)

  /** Number of slices whose publisher is known. */
  get knownCount(): number {
    return this.publishers.reduce((count, publisher) => publisher === 0 ? count : count + 1, 0)
  }

  /** Nothing is known of the slice any more. */
  clear(slice: number): void {
    this.set(slice, { publisher: 0, incarnation: 0, version: 0, heardAt: 0 })
  }

  /** The view has this publisher's contents, complete. */
  set(slice: number, state: { publisher: number; incarnation: number; version: number; heardAt: number }): void {
    this.publishers[slice] = state.publisher
    this.incarnations[slice] = state.incarnation
    this.versions[slice] = state.version
    this.heardAt[slice] = state.heardAt
    this.#flags[slice] = 0
  }

  /** Whether a version was missed, so that the publisher must be asked. */
  isBehind(slice: number): boolean {
    return (this.#flags[slice]! & FLAG.behind) !== 0
  }

  markBehind(slice: number): void {
    this.#flags[slice]! |= FLAG.behind
  }

  /** Whether a host other than the publisher sent it. */
  isHearsay(slice: number): boolean {
    return (this.#flags[slice]! & FLAG.hearsay) !== 0
  }

  markHearsay(slice: number): void {
    this.#flags[slice]! |= FLAG.hearsay
  }
}
