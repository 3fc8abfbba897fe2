/**
 * Which pages the mesh holds: in how many hosts and guests each page lives. Hosts report their stable pages to the two
 * owners of each slice, owners sum and gossip what is popular, and every host keeps a bounded merged view. All state
 * is soft: reports are per origin and versioned, so repeated, late and lost ones do no harm.
 *
 * Nothing implements this yet: here stands what the rest may expect of it.
 */

/** Popular pages as columns, best first: entry i is the i-th of each. */
export interface PopularPages {
  /** `count` ids of 16 bytes. */
  ids: Uint8Array
  /** Hosts, and guests over all hosts, that hold each page. */
  hosts: Uint32Array
  guests: Uint32Array
  count: number
}

/** What this host knows of the mesh's popular pages, bounded by `popularity.maxPages`. */
export interface PopularityView {
  readonly pages: number
  /** The `countMax` most popular pages that are known, held by at least `popularity.minHosts` hosts each. */
  top(countMax: number): PopularPages
}
