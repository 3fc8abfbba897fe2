import type { ByteChannel, ByteChannelListener } from '../../../../src/mesh/streams/framedstream.ts'
import { encodeMessageFrame } from '../../../../src/mesh/streams/framing.ts'

/** A channel that does as the test says. */
export class FakeChannel implements ByteChannel {
  readonly sent: Uint8Array[] = []
  /** Calls in order, by name. */
  readonly calls: string[] = []
  readonly closedWrite = Promise.withResolvers<void>()
  needsDrain = false
  sendError: Error | undefined
  peer!: ByteChannelListener

  send(bytes: Uint8Array): void {
    if (this.sendError !== undefined) throw this.sendError
    this.sent.push(bytes)
  }

  pause(): void {
    this.calls.push('pause')
  }

  resume(): void {
    this.calls.push('resume')
  }

  closeWrite(signal: AbortSignal): Promise<void> {
    this.calls.push('closeWrite')
    signal.addEventListener('abort', () => this.closedWrite.reject(signal.reason as Error))
    return this.closedWrite.promise
  }

  abort(reason: Error): void {
    this.calls.push(`abort: ${reason.message}`)
  }

  listen(listener: ByteChannelListener): void {
    this.peer = listener
  }

  says(byte: number, length = 1): void {
    this.peer.bytes(encodeMessageFrame(new Uint8Array(length).fill(byte)))
  }
}
