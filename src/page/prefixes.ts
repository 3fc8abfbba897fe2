/** 64-bit prefixes of ids in halves, as columns: entry i is the i-th of each. */
export interface Prefixes {
  count: number
  high: Uint32Array
  low: Uint32Array
}
