export interface FrameCutterInit {
  headBytes: number
  /** Length of the body after this head; throws if no such frame may come, after which nothing may be pushed. */
  bodyBytesOf: (head: Buffer) => number
  /** Takes each frame: the head's memory is reused, the body has its own. */
  onFrame: (head: Buffer, body: Buffer) => void
}

/**
 * Cuts arriving bytes into frames, whatever pieces they come in: a head of fixed size, and a body whose length the head
 * gives. Holds at most one frame.
 */
export class FrameCutter {
  readonly #init: FrameCutterInit
  readonly #head: Buffer
  #headFilled = 0
  #body: Buffer | undefined
  #bodyFilled = 0

  constructor(init: FrameCutterInit) {
    this.#init = init
    this.#head = Buffer.alloc(init.headBytes)
  }

  /** Whether a frame has begun and not ended. */
  get isMidway(): boolean {
    return this.#headFilled > 0
  }

  /** Throws what `bodyBytesOf` and `onFrame` throw. */
  push(bytes: Uint8Array): void {
    const headBytes = this.#head.length
    let at = 0
    while (at < bytes.length) {
      if (this.#body === undefined) {
        const take = Math.min(headBytes - this.#headFilled, bytes.length - at)
        this.#head.set(bytes.subarray(at, at + take), this.#headFilled)
        this.#headFilled += take
        at += take
        if (this.#headFilled < headBytes) return
        this.#body = Buffer.allocUnsafe(this.#init.bodyBytesOf(this.#head))
        this.#bodyFilled = 0
      }
      const take = Math.min(this.#body.length - this.#bodyFilled, bytes.length - at)
      this.#body.set(bytes.subarray(at, at + take), this.#bodyFilled)
      this.#bodyFilled += take
      at += take
      if (this.#bodyFilled === this.#body.length) this.#finish(this.#body)
    }
  }

  #finish(body: Buffer): void {
    this.#body = undefined
    this.#headFilled = 0
    this.#init.onFrame(this.#head, body)
  }
}
