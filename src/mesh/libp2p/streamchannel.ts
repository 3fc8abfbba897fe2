import type { ByteChannel, ByteChannelListener } from '../streams/framedstream.ts'

/** What is used of a libp2p stream. */
export interface MuxedStream {
  readonly status: string
  readonly readStatus: string
  readonly readableEnded: boolean
  readonly writableNeedsDrain: boolean
  send(bytes: Uint8Array): unknown
  pause(): void
  resume(): void
  close(options: { signal: AbortSignal }): Promise<void>
  abort(reason: Error): void
  addEventListener(type: 'message', listener: (event: { data: { subarray(): Uint8Array } }) => void): void
  addEventListener(type: 'drain' | 'end', listener: () => void): void
  addEventListener(type: 'close', listener: (event: { error?: Error }) => void): void
}

/** A libp2p stream as a byte channel. */
export function channelOf(stream: MuxedStream): ByteChannel {
  return {
    send: (bytes) => { stream.send(bytes) },
    get needsDrain() { return stream.writableNeedsDrain },
    pause: () => { if (stream.readStatus === 'readable') stream.pause() },
    resume: () => { if (stream.readStatus === 'paused') stream.resume() },
    closeWrite: (signal) => stream.close({ signal }),
    abort: (reason) => stream.abort(reason),
    listen: (listener) => listenTo(stream, listener),
  }
}

function listenTo(stream: MuxedStream, listener: ByteChannelListener): void {
  stream.addEventListener('message', ({ data }) => listener.bytes(data.subarray()))
  stream.addEventListener('drain', () => listener.drain())
  // Not `remoteCloseWrite`, which comes before the bytes that a paused stream still holds. A reset emits `end` as well.
  const end = (): void => { if (stream.status !== 'reset' && stream.status !== 'aborted') listener.ended() }
  stream.addEventListener('end', end)
  stream.addEventListener('close', ({ error }) => listener.closed(error))
  // Both events may have passed already; bytes that the protocol negotiation read ahead come only after this.
  queueMicrotask(() => {
    if (stream.readableEnded) end()
    if (stream.status !== 'open') listener.closed(undefined)
  })
}
