import type { PageHasher, PageVerifier } from './hasher.ts'
import { ID_BYTES, PREFIX_BYTES } from './size.ts'

/**
 * Verifies pages of which any of some keys may have made the id. Hashes with the key that last had most of the pages,
 * at first with the first one, and only those that are not of it with the others: right pages are nearly always hashed
 * once, a wrong page once for each key.
 */
export class KeysVerifier implements PageVerifier {
  readonly #hashers: () => readonly PageHasher[]
  #likeliest: PageHasher | undefined

  constructor(hashers: () => readonly PageHasher[]) {
    this.#hashers = hashers
  }

  get likeliestFirst(): readonly PageHasher[] {
    const hashers = this.#hashers()
    const likeliest = hashers.find((hasher) => hasher === this.#likeliest)
    return likeliest === undefined ? hashers : [likeliest, ...hashers.filter((hasher) => hasher !== likeliest)]
  }

  hashLike(pages: Uint8Array, offsets: Uint32Array, count: number, wanted: Uint8Array, ids: Uint8Array): void {
    const hashers = this.likeliestFirst
    const first = hashers[0]!
    first.hashScattered(pages, offsets, count, ids)
    if (hashers.length === 1) return
    let rest = unlike(wanted, ids, count)
    let most = count - rest.length
    for (const hasher of hashers) {
      if (rest.length === 0) return
      if (hasher === first) continue
      const left = hashRest(hasher, pages, offsets, rest, wanted, ids)
      if (rest.length - left.length > most) {
        most = rest.length - left.length
        this.#likeliest = hasher
      }
      rest = left
    }
  }
}

/** Hashes the pages at `places`, keeps the ids that begin as they should, and returns the other places. */
export function hashRest(
  hasher: PageHasher, pages: Uint8Array, offsets: Uint32Array, places: Uint32Array, wanted: Uint8Array, ids: Uint8Array,
): Uint32Array {
  const own = new Uint8Array(places.length * ID_BYTES)
  hasher.hashScattered(pages, places.map((place) => offsets[place]!), places.length, own)
  return places.filter((place, index) => {
    if (!beginAlike(wanted, place * ID_BYTES, own, index * ID_BYTES)) return true
    for (let byte = 0; byte < ID_BYTES; byte++) ids[place * ID_BYTES + byte] = own[index * ID_BYTES + byte]!
    return false
  })
}

/** The places whose ids do not begin alike. */
function unlike(wanted: Uint8Array, ids: Uint8Array, count: number): Uint32Array {
  const places = new Uint32Array(count)
  let found = 0
  for (let place = 0; place < count; place++) {
    if (!beginAlike(wanted, place * ID_BYTES, ids, place * ID_BYTES)) places[found++] = place
  }
  return places.subarray(0, found)
}

function beginAlike(one: Uint8Array, oneAt: number, other: Uint8Array, otherAt: number): boolean {
  for (let byte = 0; byte < PREFIX_BYTES; byte++) if (one[oneAt + byte] !== other[otherAt + byte]) return false
  return true
}
