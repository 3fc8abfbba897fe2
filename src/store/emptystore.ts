import { access, rm } from 'node:fs/promises'
import { join } from 'node:path'

import type { PageSource } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { lockStore } from './lock.ts'
import { FILE_NAMES } from './opening.ts'
import type { PagesToKeep, PutCounts, Store } from './store.ts'

/** A store without room for a page: it holds nothing and takes no disk space, and removes what an earlier run left. */
export class EmptyStore implements Store {
  readonly pages = 0
  readonly pagesMax = 0
  readonly bytes = 0
  readonly bytesMax: number
  readonly memoryBytes = 0
  readonly damagedPages = 0
  readonly source: PageSource = { kind: 'store', isVerified: true, fill: async () => undefined }
  readonly #clock: Clock
  readonly #path: string

  constructor(components: { clock: Clock }, init: { path: string; bytesMax: number }) {
    this.#clock = components.clock
    this.#path = init.path
    this.bytesMax = init.bytesMax
  }

  async start(): Promise<void> {
    const files = Object.values(FILE_NAMES).map((name) => join(this.#path, name))
    const isThere = await Promise.all(files.map((file) => access(file).then(() => true, () => false)))
    if (!isThere.includes(true)) return
    const lock = await lockStore({ clock: this.#clock }, this.#path)
    try {
      await Promise.all(files.map((file) => rm(file, { force: true })))
    } finally {
      await lock.release()
    }
  }

  async stop(): Promise<void> {}

  has(): boolean {
    return false
  }

  async put({ count }: PagesToKeep): Promise<PutCounts> {
    return { stored: 0, known: 0, refused: count }
  }

  async remove(): Promise<number> {
    return 0
  }

  forEach(): void {}
}
