import { read, readSync, write } from 'node:fs'
import { constants, open, type FileHandle } from 'node:fs/promises'

/** Pages are memory of guests: no other user may read them. */
const MODE = 0o600

/**
 * A file for reads and writes at positions, complete or with the number of bytes. It uses the descriptor's number:
 * small parallel reads are measured at 1.5 times the rate of the FileHandle's own.
 */
export class PlacedFile {
  readonly #handle: FileHandle

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** Opens the file, or creates it. */
  static async open(path: string): Promise<PlacedFile> {
    return new PlacedFile(await open(path, constants.O_RDWR | constants.O_CREAT, MODE))
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  /**
   * Reads `length` bytes at `position` into `into` from `offset` on; returns the number read, less at the end of the
   * file.
   */
  async read(into: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    let done = 0
    while (done < length) {
      const bytes = await this.#readOnce(into, offset + done, length - done, position + done)
      if (bytes === 0) break
      done += bytes
    }
    return done
  }

  /** The same, synchronously: several times as fast for data in the page cache. */
  readAtOnce(into: Uint8Array, offset: number, length: number, position: number): number {
    let done = 0
    while (done < length) {
      const bytes = readSync(this.#handle.fd, into, offset + done, length - done, position + done)
      if (bytes === 0) break
      done += bytes
    }
    return done
  }

  /** Writes `length` bytes of `from` at `position`; repeats short writes until an error tells the cause. */
  async write(from: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    for (let done = 0; done < length;) {
      done += await this.#writeOnce(from, offset + done, length - done, position + done)
    }
  }

  /** Resolves when what was written is on the disk. */
  async sync(): Promise<void> {
    await this.#handle.datasync()
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size)
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  #readOnce(into: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.#handle.fd, into, offset, length, position, (error, bytes) => {
        if (error === null) resolve(bytes)
        else reject(error)
      })
    })
  }

  #writeOnce(from: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      write(this.#handle.fd, from, offset, length, position, (error, bytes) => {
        if (error === null) resolve(bytes)
        else reject(error)
      })
    })
  }
}
