/** Moves the entries that are kept, of `entryBytes` each, to the beginning; `kept` are their places, rising. */
export function closeUp(bytes: Uint8Array, kept: ArrayLike<number>, entryBytes: number): void {
  for (let to = 0; to < kept.length; to++) {
    const from = kept[to]!
    if (to < from) bytes.copyWithin(to * entryBytes, from * entryBytes, (from + 1) * entryBytes)
  }
}
