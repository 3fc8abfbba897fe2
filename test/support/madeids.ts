import { ID_BYTES, type PageHasher } from '../../src/page/index.ts'

export interface MadeIds<Content> {
  /** The id of the page that holds `content`. */
  idOf: (content: Content) => Buffer
  prefixOf: (content: Content) => [high: number, low: number]
}

/** Ids of made pages, each hashed once. */
export function madeIds<Content>(hasher: PageHasher, pageOf: (content: Content) => Buffer): MadeIds<Content> {
  const known = new Map<Content, Buffer>()
  const idOf = (content: Content): Buffer => {
    let id = known.get(content)
    if (id === undefined) {
      id = Buffer.alloc(ID_BYTES)
      hasher.hashPages(pageOf(content), 0, 1, id, 0)
      known.set(content, id)
    }
    return id
  }
  return { idOf, prefixOf: (content) => [idOf(content).readUInt32BE(0), idOf(content).readUInt32BE(4)] }
}
