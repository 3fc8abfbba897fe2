import { systemClock, type Clock } from '../../runtime/clock.ts'
import type { Lane } from '../lanes/lane.ts'
import type { Member, Mesh } from '../mesh.ts'
import { MemoryMesh, type MemoryHub } from './memorymesh.ts'

/** Key of meshes that were created without one. */
const COMMON_KEY = 'common'

/**
 * A mesh inside one process: every host that starts joins all those with the same key. It behaves like `Mesh` (bounded
 * queues, back-pressure, one-time tickets), and tests can make it fail.
 */
export class MemoryNetwork {
  readonly #hub: NetworkHub

  constructor(components: { clock: Clock } = { clock: systemClock }) {
    this.#hub = new NetworkHub(components)
  }

  /** @param init.key hosts with different keys are strangers to each other. */
  createMesh(name: string, init: { key?: string } = {}): Mesh {
    return new MemoryMesh(this.#hub, { name, key: init.key ?? COMMON_KEY })
  }

  /** Cuts a host off from all others, or from one: their streams break; lanes stay until `cutLanes`. */
  disconnect(name: string, otherName?: string): void {
    for (const other of [...this.#hub.meshes.keys()]) {
      if (other === name || (otherName !== undefined && other !== otherName)) continue
      this.#hub.cutPairs.add(pairOf(name, other))
      this.#hub.meshes.get(name)?.lose(other)
      this.#hub.meshes.get(other)?.lose(name)
    }
  }

  /** Undoes `disconnect` for this host. */
  reconnect(name: string): void {
    for (const other of this.#hub.meshes.keys()) this.#hub.cutPairs.delete(pairOf(name, other))
    const mesh = this.#hub.meshes.get(name)
    if (mesh !== undefined) this.#hub.introduce(mesh)
  }

  /** Breaks every open bulk lane. */
  cutLanes(): void {
    for (const lane of this.#hub.lanes) lane.destroy()
  }
}

class NetworkHub implements MemoryHub {
  readonly clock: Clock
  readonly meshes = new Map<string, MemoryMesh>()
  readonly lanes = new Set<Lane>()
  readonly cutPairs = new Set<string>()

  constructor(components: { clock: Clock }) {
    this.clock = components.clock
  }

  enter(mesh: MemoryMesh): Member | undefined {
    const holder = this.meshes.get(mesh.self.name)
    if (holder !== undefined && holder !== mesh) return holder.self
    this.meshes.set(mesh.self.name, mesh)
    this.introduce(mesh)
    return undefined
  }

  leave(mesh: MemoryMesh): void {
    this.meshes.delete(mesh.self.name)
    for (const other of this.meshes.values()) other.lose(mesh.self.name)
  }

  reach(from: string, to: string): MemoryMesh | undefined {
    return this.cutPairs.has(pairOf(from, to)) ? undefined : this.meshes.get(to)
  }

  introduce(mesh: MemoryMesh): void {
    for (const other of this.meshes.values()) {
      if (other === mesh || this.cutPairs.has(pairOf(mesh.self.name, other.self.name))) continue
      mesh.meet(other)
      other.meet(mesh)
    }
  }

  hold(lane: Lane): void {
    this.lanes.add(lane)
    // `closed` never rejects.
    void lane.closed.then(() => this.lanes.delete(lane))
  }
}

function pairOf(name: string, other: string): string {
  return [name, other].sort().join(' ')
}
