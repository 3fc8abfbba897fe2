/** Public pages of a destination, and the key that made their ids. */
import { createPageHasher, ID_BYTES, listPages, type PageSource, type PrefixSet } from '../../src/page/index.ts'
import type { KnownPublic } from '../../src/passage/index.ts'
import { sourceWith } from './madepages.ts'
import { sortedTable } from './sortedtables.ts'

export const publicHasher = createPageHasher(new Uint8Array(32).fill(5))

export function publicIdOf(bytes: Uint8Array, by = publicHasher): Buffer {
  const id = Buffer.alloc(ID_BYTES)
  by.hashPages(bytes, 0, 1, id, 0)
  return id
}

export async function publicSetOf(pages: readonly Buffer[], by = publicHasher): Promise<PrefixSet> {
  return await listPages(sortedTable(pages.map((bytes) => {
    const id = publicIdOf(bytes, by)
    return [id.readUInt32BE(0), id.readUInt32BE(4), 0] as const
  })))
}

export async function knownPublic(pages: readonly Buffer[]): Promise<KnownPublic> {
  return { pageKey: publicHasher.pageKey, pages: await publicSetOf(pages) }
}

/** A source that has these as public pages. */
export function publicSourceWith(pages: readonly Buffer[], by = publicHasher): PageSource & { asked: number } {
  return sourceWith(pages, 'resident', undefined, (bytes) => publicIdOf(bytes, by))
}
