import { createPageHasher, ID_BYTES } from '../../../src/page/index.ts'
import { pageOf } from './madememory.ts'

export const pageKey = new Uint8Array(32).fill(3)
export const hasher = createPageHasher(pageKey)

const known = new Map<number | 'zero', Buffer>()

/** The id of the page that holds `content`. */
export function idOf(content: number | 'zero'): Buffer {
  let id = known.get(content)
  if (id === undefined) {
    id = Buffer.alloc(ID_BYTES)
    hasher.hashPages(pageOf(content), 0, 1, id, 0)
    known.set(content, id)
  }
  return id
}

export function prefixOf(content: number | 'zero'): [high: number, low: number] {
  const id = idOf(content)
  return [id.readUInt32BE(0), id.readUInt32BE(4)]
}

export function numbers(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}
