import { Socket } from 'node:net'

type Done = (error?: Error | null) => void
type Chunks = { chunk: unknown; encoding: BufferEncoding }[]

/**
 * A socket that goes on reading after a write has failed. When QEMU sends its last message and ends, the next write to
 * it fails. An ordinary socket would then close at once and lose that message; this one reads until the end.
 */
export class PatientSocket extends Socket {
  /** Error of the first failed write. */
  writeError: Error | undefined

  override _write(chunk: unknown, encoding: BufferEncoding, done: Done): void {
    super._write(chunk, encoding, this.#patient(done))
  }

  // Exists in Node's sockets but is missing from their types.
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
