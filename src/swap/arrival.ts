import { hasBit } from '../bytes/bits.ts'
import {
  closeUp, ID_BYTES, idsOf, PAGE_BYTES, prefixesAt, unpack, type PageVerifier, type Prefixes,
} from '../page/index.ts'
import type { Answer } from './frames.ts'

/** An answer to a want, every page of it hashed. Numbers are indices within the want. */
export interface CheckedAnswer {
  /** Pages with the right bytes, in order, with their ids and bytes, one after the other. */
  right: Uint32Array
  ids: Buffer
  bytes: Buffer
  /** Pages that the holder does not have, and pages whose bytes do not match. */
  lacking: Uint32Array
  wrong: Uint32Array
}

/** Unpacks and hashes an answer. Throws PagemeshError `bad-frame` if it does not unpack to the pages it claims. */
export function checkAnswer(
  { bitmap, packed }: Extract<Answer, { status: 'pages' }>, { count, high, low }: Prefixes, hasher: PageVerifier,
): CheckedAnswer {
  const had = new Uint32Array(count)
  const lacking = new Uint32Array(count)
  const wrong = new Uint32Array(count)
  let hadCount = 0
  let lackingCount = 0
  for (let place = 0; place < count; place++) {
    if (hasBit(bitmap, place)) had[hadCount++] = place
    else lacking[lackingCount++] = place
  }
  const bytes = hadCount === 0 ? packed : unpack(packed, hadCount * PAGE_BYTES)
  const ids = Buffer.allocUnsafe(hadCount * ID_BYTES)
  const offsets = Uint32Array.from({ length: hadCount }, (_, page) => page * PAGE_BYTES)
  hasher.hashLike(bytes, offsets, hadCount, idsOf(prefixesAt({ count, high, low }, had.subarray(0, hadCount))), ids)
  const right = new Uint32Array(hadCount)
  let rightCount = 0
  let wrongCount = 0
  for (let page = 0; page < hadCount; page++) {
    const place = had[page]!
    const idAt = page * ID_BYTES
    if (ids.readUInt32BE(idAt) !== high[place] || ids.readUInt32BE(idAt + 4) !== low[place]) {
      wrong[wrongCount++] = place
    } else {
      right[rightCount++] = page
    }
  }
  const kept = right.subarray(0, rightCount)
  closeUp(ids, kept, ID_BYTES)
  closeUp(bytes, kept, PAGE_BYTES)
  return {
    right: kept.map((page) => had[page]!),
    ids: ids.subarray(0, rightCount * ID_BYTES),
    bytes: bytes.subarray(0, rightCount * PAGE_BYTES),
    lacking: lacking.subarray(0, lackingCount),
    wrong: wrong.subarray(0, wrongCount),
  }
}
