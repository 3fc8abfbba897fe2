/** A few hosts with the whole of popularity on virtual time, and what is on each known exactly. */
import { Standing, type Mesh } from '../../../src/mesh/index.ts'
import { createPopularity, type HeldPages, type Popularity } from '../../../src/popularity/index.ts'
import { SliceOwners } from '../../../src/popularity/owners.ts'
import { highOf, lowOf } from '../../../src/popularity/slice.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { SLICE_KEY } from '../../sim/host.ts'
import { LINK_MODEL } from '../../sim/link.ts'
import type { SimMesh } from '../../sim/mesh.ts'
import { SimNetwork } from '../../sim/network.ts'
import { Chance } from '../../support/chance.ts'
import { VirtualClock } from '../../support/time.ts'
import { HeldList } from './made.ts'

export const INTERVAL_MS = 60_000

/** A page of the test: in this slice, with this rest. */
export interface PlacedPage {
  slice: number
  rest: number
}

export interface TestHost {
  name: string
  held: HeldList
  mesh: SimMesh
  standing: Standing
  popularity: Popularity
  /** What this host gossiped, and when. */
  published: { at: number; bytes: number }[]
  /** Gives a message to this host as if it had been gossiped by the owner of this peer id. */
  hear: (message: Uint8Array, peerId: string) => void
}

export class TestMesh {
  readonly clock = new VirtualClock()
  readonly network: SimNetwork
  readonly hosts: TestHost[] = []
  readonly #chance: Chance

  /** @param loss chance of a lost message or a broken stream. */
  constructor(seed: number, loss = 0) {
    this.#chance = new Chance(seed)
    const model = { ...LINK_MODEL, loss, duplicates: loss }
    this.network = new SimNetwork({ clock: this.clock, chance: this.#chance.fork(1) }, model)
  }

  get now(): number {
    return this.clock.now()
  }

  async pass(ms: number): Promise<void> {
    await this.clock.run(this.clock.now() + ms)
  }

  /** A mesh of its own, for a peer that does as it likes. */
  async addPeer(name: string): Promise<SimMesh> {
    const mesh = this.network.createMesh(name)
    await mesh.start()
    return mesh
  }

  /** Starts a host; `other` is what it says it holds instead of its list. */
  async add(name: string, other?: HeldPages): Promise<TestHost> {
    const { clock } = this
    const mesh = this.network.createMesh(name)
    const published: TestHost['published'] = []
    let hear: TestHost['hear'] = () => undefined
    const watched = watch(mesh, {
      published: (message) => published.push({ at: clock.now(), bytes: message.length }),
      subscribed: (listener) => { hear = listener },
    })
    const held = new HeldList()
    const standing = new Standing({ clock })
    const random = this.#chance.fork(this.hosts.length + 2)
    const popularity = createPopularity(
      { mesh: watched, clock, random, log: silentLog, held: other ?? held, standing },
      { minHosts: 2, maxPages: 60_000, intervalMs: INTERVAL_MS, sliceKey: SLICE_KEY },
    )
    const host: TestHost = {
      name, held, mesh, standing, popularity, published, hear: (message, peerId) => hear(message, peerId),
    }
    this.hosts.push(host)
    await mesh.start()
    await popularity.start()
    return host
  }

  /** A host stops in good order, or ends without a word. */
  async remove(host: TestHost, how: 'stop' | 'crash'): Promise<void> {
    this.hosts.splice(this.hosts.indexOf(host), 1)
    if (how === 'crash') this.network.crash(host.mesh)
    await host.popularity.stop()
    if (how === 'stop') await host.mesh.stop()
  }

  async end(): Promise<void> {
    for (const host of [...this.hosts]) await this.remove(host, 'stop')
  }
}

/** The owners of slices as these hosts find them. */
export function ownersAmong(meshes: readonly Mesh[]): SliceOwners {
  const owners = new SliceOwners({ key: SLICE_KEY })
  owners.update(meshes.map(({ self }) => self))
  return owners
}

/** How many of `pages` a host's view knows with exactly these hosts and guests. */
export function countKnown(host: TestHost, pages: readonly PlacedPage[], hosts: number, guests = hosts): number {
  const { view } = host.popularity
  return pages.filter(({ slice, rest }) => view.hostsOf(highOf(slice, rest), lowOf(rest)) === hosts &&
    view.guestsOf(highOf(slice, rest), lowOf(rest)) === guests).length
}

interface Watcher {
  published: (message: Uint8Array) => void
  subscribed: (listener: TestHost['hear']) => void
}

/** The same mesh, but that it tells what is published, and to whom gossip is given. */
function watch(mesh: SimMesh, watcher: Watcher): Mesh {
  return new Proxy<Mesh>(mesh, {
    get(target, key) {
      if (key === 'publish') {
        return (topic: string, message: Uint8Array): Promise<void> => {
          watcher.published(message)
          return target.publish(topic, message)
        }
      }
      if (key === 'subscribe') {
        return (topic: string, listener: TestHost['hear']): (() => void) => {
          watcher.subscribed(listener)
          return target.subscribe(topic, listener)
        }
      }
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) as unknown : value
    },
  })
}
