import { createServer } from 'node:net'

import {
  createLibp2pMesh, deriveKeys, MemoryNetwork, type Libp2pMeshInit, type Mesh,
} from '../../src/mesh/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { systemRandom } from '../../src/runtime/random.ts'

export const components = { clock: systemClock, log: silentLog, random: systemRandom }
export const KEYS = deriveKeys(new Uint8Array(32).fill(1))
export const OTHER_KEYS = deriveKeys(new Uint8Array(32).fill(2))

/** A libp2p mesh on loopback, on a free port unless told otherwise. */
export function libp2pMesh(name: string, init: Partial<Libp2pMeshInit> = {}): Mesh {
  return createLibp2pMesh(components, { name, keys: KEYS, listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [], ...init })
}

/** Resolves when `condition` holds, looking again whenever anything happens in the event loop. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await systemClock.sleep(5)
  }
}

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Started meshes that all know each other, and how to stop them. */
export interface Cluster {
  meshes: Mesh[]
  stop(): Promise<void>
}

/** The ways to make a cluster: everything that `Mesh` promises must hold for each. */
export const clusterKinds: Array<{ kind: string; create: (names: string[]) => Promise<Cluster> }> = [
  {
    kind: 'libp2p',
    create: (names) => started(names, (name, others) =>
      libp2pMesh(name, { bootstrap: others.map(({ self }) => self.address) })),
  },
  {
    kind: 'memory',
    create: (names) => {
      const network = new MemoryNetwork()
      return started(names, (name) => network.createMesh(name))
    },
  },
]

async function started(names: string[], create: (name: string, others: Mesh[]) => Mesh): Promise<Cluster> {
  const meshes: Mesh[] = []
  const stop = async (): Promise<void> => { await Promise.all(meshes.map((mesh) => mesh.stop())) }
  try {
    for (const name of names) {
      const mesh = create(name, [...meshes])
      meshes.push(mesh)
      await mesh.start()
    }
    await until(() => meshes.every((mesh) => mesh.members().length === meshes.length - 1), 'all know each other')
    return { meshes, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
