import type { Guest, GuestMemory, GuestState, RamBlock } from '../../../src/guest/index.ts'
import { PAGE_BYTES } from '../../../src/page/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'

/** What a page holds: a number, zeros, or nothing at all because it is not resident. */
export type Content = number | 'zero' | 'absent'

/** A guest whose memory the test made. Reading a page that is not resident is an error, as it would be in life. */
export class MadeGuest implements Guest, GuestMemory {
  readonly name: string
  readonly blocks: readonly RamBlock[]
  readonly memory = this
  readonly contents: Content[][]
  current: GuestState = 'running'
  gone = false
  /** First page and page count of each read. */
  readonly reads: [number, number][] = []
  onRead: () => void = () => {}

  constructor(name: string, contents: Content[][]) {
    this.name = name
    this.contents = contents
    this.blocks = contents.map((block, index) => ({ name: `block${index}`, bytes: block.length * PAGE_BYTES }))
  }

  async state(): Promise<GuestState> {
    return this.current
  }

  async resident(block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void> {
    this.#check()
    for (let i = 0; i < pageCount; i++) into[i] = this.contents[block]![firstPage + i] === 'absent' ? 0 : 1
  }

  async read(block: number, firstPage: number, pageCount: number, into: Uint8Array): Promise<void> {
    this.onRead()
    this.#check()
    this.reads.push([firstPage, pageCount])
    for (let i = 0; i < pageCount; i++) {
      const content = this.contents[block]![firstPage + i]!
      if (content === 'absent') throw new Error(`page ${firstPage + i} was touched and is not resident`)
      into.set(pageOf(content), i * PAGE_BYTES)
    }
  }

  async close(): Promise<void> {}

  #check(): void {
    if (this.gone) throw new PagemeshError('guest-gone', 'The guest is gone.', { fault: 'guest' })
  }
}

/** The bytes of a page that holds `content`. */
export function pageOf(content: number | 'zero'): Buffer {
  const page = Buffer.alloc(PAGE_BYTES)
  if (content !== 'zero') page.writeDoubleLE(content + 1, 64)
  return page
}
