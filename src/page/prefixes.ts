/** 64-bit prefixes of ids, as columns of high and low halves. */
export interface Prefixes {
  count: number
  high: Uint32Array
  low: Uint32Array
}
