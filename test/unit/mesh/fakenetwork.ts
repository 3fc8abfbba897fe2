import { HostMesh } from '../../../src/mesh/hostmesh.ts'
import type { Unsubscribe } from '../../../src/mesh/index.ts'
import type { Network, NetworkListener } from '../../../src/mesh/network.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { VirtualClock } from '../../support/time.ts'
import { FakeChannel } from './streams/fakechannel.ts'

/** A peer-to-peer network that does as the test says, and keeps what it was asked for. */
export class FakeNetwork implements Network {
  peerId = ''
  /** Calls in order, by name and argument. */
  readonly calls: string[] = []
  readonly published: { topic: string; message: Uint8Array }[] = []
  readonly handlers = new Map<string, (channel: FakeChannel, peerId: string) => void>()
  gossipSentBytes = 0
  gossipReceivedBytes = 0
  startError: Error | undefined
  listener!: NetworkListener
  /** What comes of a dial; by default nobody is there. */
  onDial: (address: string, signal: AbortSignal) => Promise<string> = async () => { throw new Error('nobody there') }
  onOpenChannel: (signal: AbortSignal) => Promise<FakeChannel> = async () => new FakeChannel()
  onHandle: () => Promise<void> = async () => {}
  onStop: () => Promise<void> = async () => {}
  readonly #ownPeerId: string
  #isStarted = false

  constructor(ownPeerId = 'peerA') {
    this.#ownPeerId = ownPeerId
  }

  addresses(): string[] {
    return this.#isStarted ? ['/ip4/127.0.0.1/tcp/4001', '/ip4/10.0.0.1/tcp/4001'] : []
  }

  async start(listener: NetworkListener): Promise<void> {
    this.calls.push('start')
    this.peerId = this.#ownPeerId
    if (this.startError !== undefined) throw this.startError
    this.listener = listener
    this.#isStarted = true
  }

  async stop(): Promise<void> {
    this.calls.push('stop')
    this.#isStarted = false
    await this.onStop()
  }

  dial(address: string, signal: AbortSignal): Promise<string> {
    this.calls.push(`dial ${address}`)
    return this.onDial(address, signal)
  }

  disconnect(peerId: string): void {
    this.calls.push(`disconnect ${peerId}`)
  }

  openChannel(peerId: string, protocol: string, signal: AbortSignal): Promise<FakeChannel> {
    this.calls.push(`open ${peerId} ${protocol}`)
    return this.onOpenChannel(signal)
  }

  async handle(protocol: string, handler: (channel: FakeChannel, peerId: string) => void): Promise<Unsubscribe> {
    this.calls.push(`handle ${protocol}`)
    await this.onHandle()
    this.handlers.set(protocol, handler)
    return () => {
      this.calls.push(`unhandle ${protocol}`)
      this.handlers.delete(protocol)
    }
  }

  subscribe(topic: string): void {
    this.calls.push(`subscribe ${topic}`)
  }

  unsubscribe(topic: string): void {
    this.calls.push(`unsubscribe ${topic}`)
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    this.published.push({ topic, message })
  }

  /** A peer that proved the key is connected. */
  join(name: string, peerId: string, address = '/ip4/127.0.0.1/tcp/5'): void {
    this.listener.connected({ name, peerId, address })
  }

  /** The calls since the last time, without those that begin with something else than `kind`. */
  taken(kind = ''): string[] {
    return this.calls.splice(0).filter((call) => call.startsWith(kind))
  }
}

/** What the log of a mesh was told, from warnings upwards. */
export interface LoggedMesh {
  clock: VirtualClock
  network: FakeNetwork
  logged: string[]
  mesh: HostMesh
}

/** Hosts' meshes over networks of a test, on virtual time. Their lane ports are real ones on loopback. */
export class HostMeshes {
  readonly #running: HostMesh[] = []

  make(init: Partial<ConstructorParameters<typeof HostMesh>[2]> = {}, network = new FakeNetwork()): LoggedMesh {
    const clock = new VirtualClock()
    const logged: string[] = []
    const log = {
      ...silentLog,
      warn: (message: string) => { logged.push(`warn: ${message}`) },
      error: (message: string) => { logged.push(`error: ${message}`) },
    }
    const random = { ...systemRandom, fraction: () => 0 }
    const whole = { name: 'a', listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [], ...init }
    const mesh = new HostMesh({ clock, log, random }, network, whole)
    this.#running.push(mesh)
    return { clock, network, logged, mesh }
  }

  async start(...init: Parameters<HostMeshes['make']>): Promise<LoggedMesh> {
    const host = this.make(...init)
    await host.mesh.start()
    return host
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.splice(0).map((mesh) => mesh.stop()))
  }
}

/** Work that lasts until its signal ends it. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
}
