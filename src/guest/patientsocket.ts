import { Socket } from 'node:net'

type Done = (error?: Error | null) => void
type Chunks = { chunk: unknown; encoding: BufferEncoding }[]

/**
 * A socket that goes on reading after a write has failed. A QEMU that says its last words and ends makes the next
 * write to it fail; an ordinary socket would close at once then, and what was said before would never be read.
 * The reader finds the end by itself.
 */
export class PatientSocket extends Socket {
  /** Why the first write failed that did. */
  writeError: Error | undefined

  override _write(chunk: unknown, encoding: BufferEncoding, done: Done): void {
    super._write(chunk, encoding, this.#patient(done))
  }

  // Node's sockets have it, though their types do not say so.
  override _writev(chunks: Chunks, done: Done): void {
    super._writev!(chunks, this.#patient(done))
  }

  #patient(done: Done): Done {
    return (error) => {
      if (error !== undefined && error !== null) this.writeError ??= error
      done()
    }
  }
}
