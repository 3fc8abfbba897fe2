/**
 * How a destination says which public pages it has. Public are pages of guests of the tenant `public`; a guest of any
 * tenant may be moved with references to them, and adds none.
 *
 *   answer = bitmap set
 *   bitmap = one bit for each page that the source has listed    set = a prefix set, of public ids
 *
 * The set is there only if both ends have agreed on it. The source says nothing of its guest's pages under public ids,
 * but for references to pages that are in the set. Of pages that the destination does not have there is nothing in it,
 * though a third host may have them. To fetch those, the source would have to hash its whole guest before the stream
 * begins, for pages that cost as many bytes from there as from the source, and that placement brings to every store
 * with room. And the third host would learn page by page which public pages a guest of another tenant holds: whoever
 * runs a public guest, or makes up a report of one, could choose what to look for.
 */
import { bufferOver } from '../bytes/bufferover.ts'
import { decodePrefixSet, encodePrefixSet, type Inventory, type PrefixSet } from '../page/index.ts'
import type { KnownPublic } from '../passage/index.ts'
import type { Sharing } from './sharing.ts'

/** The public pages of a host. */
export interface PublicPages {
  readonly areThere: boolean
  /** Those that it can fill references with: at most PUBLIC_PAGES_MAX, further ones are left out. */
  list(): Promise<PrefixSet>
}

/** 2 GiB of unlike pages: 1.6 MiB on the wire, and 12 MiB of memory for each channel at the source. */
export const PUBLIC_PAGES_MAX = 2 ** 19

/** The destination's answer to the source's list of pages. */
export async function encodeHad(
  bitmap: Uint8Array, { publicHasher }: Pick<Sharing, 'publicHasher'>, publicPages: PublicPages,
): Promise<Buffer> {
  if (publicHasher === undefined) return bufferOver(bitmap)
  return Buffer.concat([bitmap, await encodePrefixSet(await publicPages.list())])
}

/** Parts the answer to a list of so many pages. Rejects with PagemeshError `bad-prefix-set`. */
export async function decodeHad(body: Buffer, listed: number): Promise<{ bitmap: Buffer; pages: PrefixSet }> {
  const bitmapBytes = Math.ceil(listed / 8)
  const pages = await decodePrefixSet(body.subarray(bitmapBytes), PUBLIC_PAGES_MAX)
  return { bitmap: body.subarray(0, bitmapBytes), pages }
}

/**
 * Takes the answer to what `inventory` has listed; returns the public pages to refer to. Rejects with PagemeshError
 * `bad-frame` or `bad-prefix-set`.
 */
export async function takeHad(
  body: Buffer, { publicHasher, apart }: Sharing, inventory: Inventory,
): Promise<KnownPublic | undefined> {
  if (publicHasher === undefined) {
    await inventory.answer(body)
    return undefined
  }
  const { bitmap, pages } = await decodeHad(body, inventory.listedCount)
  await inventory.answer(bitmap)
  return apart !== undefined || pages.prefixes.length === 0 ? undefined : { pageKey: publicHasher.pageKey, pages }
}
