import { closeSync } from 'node:fs'

import type { HandedLane, LaneTaker } from '../../mesh/index.ts'
import type { Endpoint } from '../../net/endpoint.ts'
import type { HandedConnection } from '../../net/handover.ts'
import { PageBatch, type PageHasher, type PageSource, type Prefixes } from '../../page/index.ts'
import type { StreamKnowledgeData } from '../../qemu/index.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { deferred } from '../../runtime/wait.ts'
import { laneLost } from '../framelane.ts'
import type { IncomingPassageComponents, IncomingPassageListener } from '../incoming.ts'
import type { OutgoingPassageListener } from '../outgoing.ts'
import type { KnownPublic } from '../publicrefs.ts'
import { connectionLost } from '../wire.ts'
import { SharedCounts } from './counts.ts'
import { errorOfData } from './errordata.ts'
import {
  CONNECTIONS, type ConnectionName, type FromThread, type IncomingOrder, type OutgoingOrder, type Said,
} from './message.ts'
import type { PassageThread, PassageThreads, ThreadListener } from './threads.ts'

/** A thread that has not closed its connections within this time hangs: it is ended, and with it the connections. */
const CLOSE_MS_MAX = 5000

type Listener = IncomingPassageListener & Partial<OutgoingPassageListener>
type FillOrder = FromThread & { kind: 'fill' }

/** The agent's end of a passage in a worker thread. If the thread dies, the passage has failed. */
export class PassagePort {
  readonly #clock: Clock
  readonly #thread: PassageThread
  readonly #securing = deferred<void>()
  readonly #closing = deferred<Error | undefined>()
  readonly #opened = new SharedArrayBuffer(Object.keys(CONNECTIONS).length * Int32Array.BYTES_PER_ELEMENT)
  readonly #fds = new Map<ConnectionName, number>()
  readonly #abort = new AbortController()
  #listener: Listener | undefined
  #sources: readonly PageSource[] = []
  #patience: Timer | undefined
  /** No further events are passed on. */
  #isOver = false
  /** A failure before there was a listener. */
  #failure: PagemeshError | undefined
  #isClosed = false
  readonly counts = new SharedCounts()
  /** The last known knowledge of the passage. */
  knowledge: StreamKnowledgeData | undefined

  /** Undefined if no thread is free. */
  static take({ clock, threads }: { clock: Clock; threads: PassageThreads }): PassagePort | undefined {
    const words: ThreadListener = { hear: () => {}, died: () => {} }
    const thread = threads.take(words)
    if (thread === undefined) return undefined
    const passage = new PassagePort(clock, thread)
    words.hear = (message) => passage.#hear(message)
    words.died = () => passage.#close(threadEnded())
    return passage
  }

  private constructor(clock: Clock, thread: PassageThread) {
    this.#clock = clock
    this.#thread = thread
    // Avoids an unhandled rejection: not every caller awaits it.
    this.secured.catch(() => {})
  }

  /** Resolves once TLS is negotiated. */
  get secured(): Promise<void> {
    return this.#securing.promise
  }

  /** This passage as the taker of one of its connections. */
  taker(connection: ConnectionName): LaneTaker {
    return {
      destroy: () => this.#end({ kind: 'destroy', connection }),
      closed: this.#closing.promise,
      secured: this.secured,
    }
  }

  /** Frees the thread, which is not needed. */
  free(): void {
    this.#thread.free()
  }

  /** Hands the lane over to the thread. */
  begin(lane: HandedLane): void {
    this.#fds.set('lane', lane.fd)
    this.#thread.post({ kind: 'lane', lane, counts: this.counts.shared, opened: this.#opened })
  }

  startOutgoing(
    { hasher, qemu }: { hasher: PageHasher; qemu: Endpoint }, init: OutgoingOrder, listener: OutgoingPassageListener,
  ): void {
    const handed = this.#begin(qemu, 'source', listener)
    if (handed === undefined) return
    const known = copyOf(init.known)
    const { pageKey } = hasher
    this.#thread.post({ kind: 'outgoing', qemu: handed, pageKey, init: { ...init, known } }, buffersOf(known))
  }

  startIncoming(
    { hasher, publicHasher, qemu, sources }: IncomingPassageComponents, init: IncomingOrder,
    listener: IncomingPassageListener,
  ): void {
    this.#sources = sources
    const handed = this.#begin(qemu, 'destination', listener)
    if (handed === undefined) return
    const kinds = sources.map(({ kind }) => kind)
    const { pageKey } = hasher
    const publicKey = publicHasher?.pageKey
    this.#thread.post({ kind: 'incoming', qemu: handed, pageKey, publicKey, sources: kinds, init })
  }

  addKnown(pages: Prefixes): void {
    if (this.#isOver) return
    const copy = copyOf(pages)
    this.#thread.post({ kind: 'addKnown', pages: copy }, buffersOf(copy))
  }

  setPublic(known: KnownPublic): void {
    if (!this.#isOver) this.#thread.post({ kind: 'setPublic', known })
  }

  addKnowledge(knowledge: StreamKnowledgeData): void {
    if (!this.#isOver) this.#thread.post({ kind: 'addKnowledge', knowledge })
  }

  stop(): void {
    if (!this.#isOver) this.#end({ kind: 'stop' })
    this.#over()
  }

  #begin(qemu: Endpoint, end: 'source' | 'destination', listener: Listener): HandedConnection | undefined {
    this.#listener = listener
    const handed = this.#isClosed ? undefined : qemu.handOver?.(this.taker('qemu'))
    if (handed !== undefined) {
      this.#fds.set('qemu', handed.fd)
      return handed
    }
    qemu.destroy()
    this.#end({ kind: 'stop' })
    const failure = this.#failure ?? connectionLost(end, undefined)
    this.#over()
    // Deferred until the caller has the passage.
    queueMicrotask(() => listener.failed(failure))
    return undefined
  }

  #hear(message: FromThread): void {
    switch (message.kind) {
      case 'secured': return this.#securing.resolve()
      case 'unsecured': return this.#securing.reject(errorOfData(message.error))
      case 'said': return this.#say(message.said, message.knowledge)
      // Never rejects: a failing source is answered, too.
      case 'fill': return void this.#fill(message)
      case 'over': return this.#close(laneLost('it was closed'))
    }
  }

  #say(said: Said, knowledge: StreamKnowledgeData | undefined): void {
    this.knowledge = knowledge ?? this.knowledge
    const listener = this.#listener
    if (this.#isOver || listener === undefined) return
    switch (said.what) {
      case 'mark': return listener.mark?.(said.mark)
      case 'runState': return listener.runState?.(said.state)
      case 'lost': return listener.lost?.(said.reason)
      case 'streamEnded': return listener.streamEnded?.()
      case 'returnEnded': return listener.returnEnded?.(said.shut)
      case 'ended':
        this.#over()
        return listener.ended()
      case 'failed': return this.#fail(errorOfData(said.error))
    }
  }

  async #fill({ request, sourceIndex, ids, room, marks }: FillOrder): Promise<void> {
    const batch = new PageBatch(ids, Buffer.from(room))
    batch.setMarks(marks)
    let filled: Uint8Array | undefined
    try {
      await this.#sources[sourceIndex]!.fill(batch, this.#abort.signal)
      filled = batch.marks()
    } catch {
      // The worker asks the next source.
    }
    if (!this.#isOver) this.#thread.post({ kind: 'filled', request, marks: filled })
  }

  #fail(error: PagemeshError): void {
    if (this.#isOver) return
    this.#over()
    this.#failure = error
    this.#listener?.failed(error)
  }

  #over(): void {
    this.#isOver = true
    this.#abort.abort()
  }

  /** Tells the thread to close one connection or both; kills it if it does not. */
  #end(order: { kind: 'stop' } | { kind: 'destroy'; connection: ConnectionName }): void {
    if (this.#isClosed) return
    this.#thread.post(order)
    // A thread that has reported its end is alive and closes in order.
    if (!this.#isOver) this.#patience ??= this.#clock.after(CLOSE_MS_MAX, () => this.#thread.kill())
  }

  /** @param why the failure to report, unless the passage has reported its end. */
  #close(why: PagemeshError): void {
    this.#isClosed = true
    this.#patience?.cancel()
    const opened = new Int32Array(this.#opened)
    for (const [connection, fd] of this.#fds) {
      // A descriptor that the thread never opened must be closed here.
      if (Atomics.load(opened, CONNECTIONS[connection]) === 0) closeSync(fd)
    }
    this.#thread.free()
    this.#closing.resolve(undefined)
    this.#securing.reject(why)
    this.#fail(why)
  }
}

function threadEnded(): PagemeshError {
  return new PagemeshError('passage-thread-ended', 'The thread that carried the guest\'s stream has ended.', {
    fault: 'host', phase: 'handoff', advice: 'See the log of the agent.',
  })
}

/** A copy in separate memory, which can be transferred. */
function copyOf({ count, high, low }: Prefixes): Prefixes {
  return { count, high: high.slice(0, count), low: low.slice(0, count) }
}

function buffersOf({ high, low }: Prefixes): ArrayBuffer[] {
  return [high.buffer as ArrayBuffer, low.buffer as ArrayBuffer]
}
