import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  createAgent, createLibp2pMesh, deriveKeys, NamePins, readClusterKey, silentLog, systemClock, systemRandom,
  writeClusterKey, type AgentComponents,
} from '../../../src/index.ts'

describe('what the library exports', () => {
  it('is enough for agents with meshes that their program made', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pm-face-'))
    const world = { clock: systemClock, log: silentLog, random: systemRandom } satisfies AgentComponents
    const clusterKeyFile = join(directory, 'cluster.key')
    await writeClusterKey(clusterKeyFile, world.random)
    const clusterKey = await readClusterKey(clusterKeyFile)
    const identityOf = async (name: string): Promise<string> => {
      const mesh = createLibp2pMesh(world, {
        name, keys: deriveKeys(clusterKey), identityPath: join(directory, `${name}.identity`),
        listen: ['/ip4/127.0.0.1/tcp/0'], lane: '127.0.0.1:0', bootstrap: [], pins: new NamePins(world),
      })
      const agent = await createAgent(
        { name, clusterKey, store: { path: join(directory, name), maxBytes: 0 } }, { ...world, mesh },
      )
      try {
        await agent.start()
        return agent.status().peerId
      } finally {
        await agent.stop()
      }
    }
    try {
      const first = await identityOf('a')
      assert.match(first, /^12D3/)
      assert.equal(await identityOf('a'), first, 'the identity was kept')
      assert.notEqual(await identityOf('b'), first)
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
