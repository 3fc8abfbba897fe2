import type { PageBatch, PageSource, PageSourceKind } from '../../page/index.ts'
import { deferred, type Deferred } from '../../runtime/wait.ts'
import type { FromThread } from './message.ts'

/** A worker's access to the agent's page sources: asked by message, they fill shared memory. */
export class RemoteSources {
  readonly sources: readonly PageSource[]
  readonly #post: (message: FromThread) => void
  /** At most one for each batch in flight. */
  readonly #asked = new Map<number, Deferred<Uint8Array | undefined>>()
  #nextRequest = 0

  constructor(kinds: readonly PageSourceKind[], post: (message: FromThread) => void) {
    this.#post = post
    this.sources = kinds.map((kind, index) => ({ kind, fill: (batch) => this.#fill(index, batch) }))
  }

  answer(request: number, marks: Uint8Array | undefined): void {
    this.#asked.get(request)?.resolve(marks)
    this.#asked.delete(request)
  }

  async #fill(sourceIndex: number, batch: PageBatch): Promise<void> {
    const request = this.#nextRequest++
    const answer = deferred<Uint8Array | undefined>()
    this.#asked.set(request, answer)
    this.#post({
      kind: 'fill', request, sourceIndex,
      // Copied: a view would be posted with its whole buffer.
      ids: Uint8Array.from(batch.ids), room: batch.bytes.buffer, marks: batch.marks(),
    })
    const marks = await answer.promise
    if (marks === undefined) throw new Error('the source has failed in the agent\'s thread')
    batch.setMarks(marks)
  }
}
