/** A host whose disk was copied: two run with one identity. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Libp2pMeshInit, Mesh } from '../../../../src/mesh/index.ts'
import { libp2pMesh, until } from '../../../support/meshes.ts'

describe('a host that was cloned', () => {
  let folder: string
  const running: Mesh[] = []

  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'mesh-')) })
  afterEach(async () => {
    await Promise.all(running.splice(0).map((mesh) => mesh.stop()))
    await rm(folder, { recursive: true })
  })

  async function started(name: string, init: Partial<Libp2pMeshInit> = {}): Promise<Mesh> {
    const mesh = libp2pMesh(name, init)
    running.push(mesh)
    await mesh.start()
    return mesh
  }

  const clone = (bootstrap: string[]): Promise<Mesh> =>
    started('b', { identityPath: join(folder, 'identity'), bootstrap })

  it('is let in by nobody, nor is its original, and all three say so', async () => {
    const a = await started('a')
    const original = await clone([a.self.address])
    await until(() => a.member('b') !== undefined, 'the original is a member')
    const copy = await clone([a.self.address])
    const [{ peerId }] = [original.self]
    assert.equal(copy.self.peerId, peerId)
    const doubled = [{ name: 'b', peerId }]
    for (const mesh of [a, original, copy]) {
      await until(() => mesh.doubled.length > 0, `${mesh.self.name} says it`, 20_000)
      assert.deepEqual(mesh.doubled, doubled)
    }
    await until(() => a.member('b') === undefined, 'neither is a member')
    await assert.rejects(a.open('b', '/test/1', AbortSignal.timeout(5_000)), { code: 'host-unknown' })
    assert.deepEqual([a.strangerCount, original.strangerCount, copy.strangerCount], [0, 0, 0])
  })

  it('is found where the two are alone', async () => {
    const original = await clone([])
    const copy = await clone([original.self.address])
    await until(() => original.doubled.length + copy.doubled.length === 2, 'both say it')
  })

  it('is not one that was started anew', async () => {
    const a = await started('a')
    for (let start = 0; start < 3; start++) {
      const b = await clone([a.self.address])
      await until(() => a.member('b') !== undefined && b.member('a') !== undefined, 'it is a member')
      await b.stop()
      await b.start()
      await until(() => a.member('b') !== undefined && b.member('a') !== undefined, 'it is a member again')
      assert.deepEqual([a.doubled, b.doubled], [[], []])
      await b.stop()
    }
  })
})
