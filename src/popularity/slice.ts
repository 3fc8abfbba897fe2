/**
 * A slice is the page ids that begin with the same SLICE_BITS bits. The rest of a 64-bit prefix is a whole number below
 * 2^52, which a double holds exactly: no BigInt, and sorting is native.
 */
export const SLICE_BITS = 12
export const SLICE_COUNT = 2 ** SLICE_BITS
/** Bits of a rest. */
export const REST_BITS = 64 - SLICE_BITS
export const REST_LIMIT = 2 ** REST_BITS

const HIGH_REST_BITS = 32 - SLICE_BITS
const HIGH_REST_MASK = 2 ** HIGH_REST_BITS - 1

export function sliceOf(high: number): number {
  return high >>> HIGH_REST_BITS
}

export function restOf(high: number, low: number): number {
  return (high & HIGH_REST_MASK) * 2 ** 32 + (low >>> 0)
}

/** The first and the last value that the high half of a prefix in this slice can have. */
export function firstHighOf(slice: number): number {
  return slice * 2 ** HIGH_REST_BITS
}

export function lastHighOf(slice: number): number {
  return firstHighOf(slice) + HIGH_REST_MASK
}

/** The two halves of the prefix that consists of a slice and a rest. */
export function highOf(slice: number, rest: number): number {
  return firstHighOf(slice) + Math.floor(rest / 2 ** 32)
}

export function lowOf(rest: number): number {
  return rest % 2 ** 32
}
