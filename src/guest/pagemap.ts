/** Size of one page's entry in /proc/PID/pagemap. */
export const PAGEMAP_ENTRY_BYTES = 8

/** In the highest byte of an entry: bit 63, the page is present, and bit 62, it is swapped out. */
const PRESENT_AND_SWAPPED = 0xc0
const PRESENT = 0x80

/** Writes 1 into `into` from `at` for each of `count` pages that is present, else 0. Pure. */
export function markResident(entries: Uint8Array, count: number, into: Uint8Array, at: number): void {
  for (let i = 0; i < count; i++) {
    const flags = entries[i * PAGEMAP_ENTRY_BYTES + 7]! & PRESENT_AND_SWAPPED
    into[at + i] = flags === PRESENT ? 1 : 0
  }
}
