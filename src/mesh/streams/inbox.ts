import { PagemeshError } from '../../runtime/errors.ts'

/** Memory that a message takes besides its bytes: without it, empty messages would be bounded by nothing. */
export const MESSAGE_OVERHEAD_BYTES = 128

/**
 * Whole messages that wait for a receiver. It is not bounded: its owner watches `bytes` and stops the sender. One
 * `receive` waits at a time; a second one queues behind it.
 */
export class Inbox {
  readonly #messages: Uint8Array[] = []
  readonly #receivers: Array<{ resolve: (message: Uint8Array) => void; reject: (error: unknown) => void }> = []
  readonly #onTaken: () => void
  #bytes = 0
  #error: Error | undefined

  /** @param onTaken called whenever a message was taken, so that the sender may go on. */
  constructor(onTaken: () => void) {
    this.#onTaken = onTaken
  }

  /** Memory of the messages that wait. */
  get bytes(): number {
    return this.#bytes
  }

  push(message: Uint8Array): void {
    if (this.#error !== undefined) return
    const receiver = this.#receivers.shift()
    if (receiver !== undefined) {
      receiver.resolve(message)
      return
    }
    this.#messages.push(message)
    this.#bytes += message.length + MESSAGE_OVERHEAD_BYTES
  }

  /** No more messages will come. Those that arrived may still be received, unless `discard`. */
  end(error: Error, discard = false): void {
    if (discard) {
      this.#messages.length = 0
      this.#bytes = 0
    }
    this.#error ??= error
    for (const receiver of this.#receivers.splice(0)) receiver.reject(this.#error)
  }

  async receive(signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted()
    const message = this.#messages.shift()
    if (message !== undefined) {
      this.#bytes -= message.length + MESSAGE_OVERHEAD_BYTES
      this.#onTaken()
      return message
    }
    if (this.#error !== undefined) throw this.#error
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const receiver = { resolve, reject }
    const abort = (): void => {
      this.#receivers.splice(this.#receivers.indexOf(receiver), 1)
      reject(signal?.reason)
    }
    this.#receivers.push(receiver)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }
}

export function streamEnded(): PagemeshError {
  return new PagemeshError('stream-ended', 'The other host closed the stream.', { fault: 'peer' })
}

/** A PagemeshError is kept; any other error becomes the cause. */
export function streamBroken(cause: unknown): PagemeshError {
  if (cause instanceof PagemeshError) return cause
  return new PagemeshError('stream-broken', 'The stream to the other host broke.', {
    fault: 'network', cause, advice: 'Check the network between the hosts and the log of the other agent.',
  })
}

export function messageTooLong(lengthBytes: number, bytesMax: number): PagemeshError {
  return new PagemeshError('message-too-long', `A message of ${lengthBytes} bytes exceeds the limit of ${bytesMax}.`, {
    fault: 'peer', data: { lengthBytes, bytesMax },
  })
}
