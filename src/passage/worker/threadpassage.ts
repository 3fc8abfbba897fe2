import { openHandedEndpoint } from '../../guest/index.ts'
import { openHandedLane, secureLane, type Lane } from '../../mesh/lanes/index.ts'
import type { Endpoint } from '../../net/endpoint.ts'
import type { HandedConnection } from '../../net/handover.ts'
import { createPageHasher, type PageHasher } from '../../page/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { IncomingPassage } from '../incoming.ts'
import { OutgoingPassage } from '../outgoing.ts'
import { SharedCounts } from './counts.ts'
import { errorData } from './errordata.ts'
import { CONNECTIONS, type ConnectionName, type FromThread, type Said, type ToThread } from './message.ts'
import { RemoteSources } from './remotesources.ts'

interface Components {
  clock: Clock
  post: (message: FromThread) => void
}

/** One passage in a worker: follows the agent thread's orders, over the connections that it was handed. */
export class ThreadPassage {
  readonly #components: Components
  readonly #counts: SharedCounts
  readonly #opened: Int32Array
  readonly #abort = new AbortController()
  readonly #onOver: () => void
  #lane: Lane | undefined
  #qemu: Endpoint | undefined
  #outgoing: OutgoingPassage | undefined
  #incoming: IncomingPassage | undefined
  #sources: RemoteSources | undefined

  constructor(components: Components, order: ToThread & { kind: 'lane' }, onOver: () => void) {
    this.#components = components
    this.#counts = new SharedCounts(order.counts)
    this.#opened = new Int32Array(order.opened)
    this.#onOver = onOver
    // It never rejects.
    void this.#secure(order)
  }

  hear(message: ToThread): void {
    switch (message.kind) {
      case 'lane':
      case 'warmUp': return
      case 'outgoing': return this.#startOutgoing(message)
      case 'incoming': return this.#startIncoming(message)
      case 'addKnown': return this.#outgoing?.addKnown(message.pages)
      case 'setPublic': return this.#outgoing?.setPublic(message.known)
      case 'addKnowledge': return this.#outgoing?.addKnowledge(message.knowledge)
      case 'filled': return this.#sources?.answer(message.request, message.marks)
      case 'destroy': return this.#destroy(message.connection)
      case 'stop': return this.#stop()
    }
  }

  async #secure({ lane: handed }: ToThread & { kind: 'lane' }): Promise<void> {
    const { clock, post } = this.#components
    try {
      this.#open('lane')
      const lane = await secureLane({ clock }, openHandedLane(handed), handed, this.#abort.signal)
      this.#lane = lane
      post({ kind: 'secured' })
      await lane.closed
      await this.#qemu?.closed
    } catch (error) {
      post({ kind: 'unsecured', error: errorData(error) })
    }
    this.#publish()
    this.#onOver()
  }

  #startOutgoing({ qemu, pageKey, init }: ToThread & { kind: 'outgoing' }): void {
    this.#start(qemu, pageKey, (components) => {
      this.#outgoing = new OutgoingPassage(components, {
        ...init, onCounts: () => this.#publish(),
        listener: {
          mark: (mark) => this.#say({ what: 'mark', mark }),
          runState: (state) => this.#say({ what: 'runState', state }),
          lost: (reason) => this.#say({ what: 'lost', reason }),
          streamEnded: () => this.#say({ what: 'streamEnded' }),
          returnEnded: (shut) => this.#say({ what: 'returnEnded', shut }),
          ended: () => this.#say({ what: 'ended' }),
          failed: (error) => this.#say({ what: 'failed', error: errorData(error) }),
        },
      })
    })
  }

  #startIncoming({ qemu, pageKey, publicKey, sources, init }: ToThread & { kind: 'incoming' }): void {
    const remote = new RemoteSources(sources, this.#components.post)
    this.#sources = remote
    const publicHasher = publicKey === undefined ? undefined : createPageHasher(publicKey)
    this.#start(qemu, pageKey, (components) => {
      this.#incoming = new IncomingPassage({ ...components, publicHasher, sources: remote.sources }, {
        ...init, onCounts: () => this.#publish(),
        listener: {
          ended: () => this.#say({ what: 'ended' }),
          failed: (error) => this.#say({ what: 'failed', error: errorData(error) }),
        },
      })
    })
  }

  #start(
    handed: HandedConnection, pageKey: Uint8Array,
    make: (components: { clock: Clock; hasher: PageHasher; lane: Lane; qemu: Endpoint }) => void,
  ): void {
    const { clock } = this.#components
    this.#open('qemu')
    const qemu = openHandedEndpoint(handed)
    this.#qemu = qemu
    // Stopped, or its lane was lost, before this order arrived.
    if (this.#lane === undefined || this.#abort.signal.aborted) qemu.destroy()
    else make({ clock, hasher: createPageHasher(pageKey), lane: this.#lane, qemu })
  }

  /** From now on this thread must close the connection. */
  #open(connection: ConnectionName): void {
    Atomics.store(this.#opened, CONNECTIONS[connection], 1)
  }

  #destroy(connection: ConnectionName): void {
    if (connection === 'qemu') this.#qemu?.destroy()
    else if (this.#lane === undefined) this.#abort.abort()
    else this.#lane.destroy()
  }

  #stop(): void {
    this.#abort.abort()
    this.#outgoing?.stop()
    this.#incoming?.stop()
    if (this.#outgoing === undefined && this.#incoming === undefined) this.#lane?.destroy()
  }

  #say(said: Said): void {
    this.#publish()
    this.#components.post({ kind: 'said', said, knowledge: this.#outgoing?.knowledge() })
  }

  #publish(): void {
    if (this.#outgoing !== undefined) this.#counts.writeOutgoing(this.#outgoing.counts())
    if (this.#incoming !== undefined) this.#counts.writeIncoming(this.#incoming.counts())
  }
}
