import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { deriveKeys, readClusterKey, writeClusterKey } from '../../../src/mesh/index.ts'
import { keepIdentity } from '../../../src/mesh/identity.ts'

describe('the cluster key', () => {
  let folder: string
  let path: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mesh-'))
    path = join(folder, 'cluster.key')
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('is one line of text that only its owner may read', async () => {
    await writeClusterKey(path)
    assert.match(await readFile(path, 'utf8'), /^pagemesh-key-1:[A-Za-z0-9_-]{43}\n$/)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal((await readClusterKey(path)).length, 32)
  })

  it('is never overwritten', async () => {
    await writeClusterKey(path)
    const before = await readFile(path, 'utf8')
    await assert.rejects(() => writeClusterKey(path), { code: 'key-exists', fault: 'usage' })
    assert.equal(await readFile(path, 'utf8'), before)
  })

  it('is not read from where others could put another one', async () => {
    await writeClusterKey(path)
    await chmod(folder, 0o777)
    await assert.rejects(() => readClusterKey(path), {
      code: 'directory-exposed', advice: `Run \`chmod o-w ${folder}\`.`,
    })
    await assert.rejects(() => keepIdentity(join(folder, 'identity'), async () => new Uint8Array(1)), {
      code: 'directory-exposed',
    })
  })

  it('says why it cannot be read or written', async () => {
    await assert.rejects(() => readClusterKey(path), { code: 'key-missing' })
    await assert.rejects(() => writeClusterKey(join(folder, 'no', 'key')), { code: 'key-not-written' })
    await writeClusterKey(path)
    await chmod(path, 0o640)
    await assert.rejects(() => readClusterKey(path), { code: 'key-exposed' })
    const long = 'A'.repeat(44)
    const other = `pagemesh-key-2:${long.slice(1)}`
    for (const text of ['', 'pagemesh-key-1:', other, `pagemesh-key-1:${long}`, long.repeat(99)]) {
      await writeFile(path, text)
      await chmod(path, 0o600)
      await assert.rejects(() => readClusterKey(path), { code: 'key-malformed' })
    }
  })

  it('gives every use a key of its own', () => {
    const keys = deriveKeys(new Uint8Array(32))
    const { memberKey } = keys
    for (const key of Object.values(keys)) assert.equal(key.length, 32)
    assert.equal(new Set(Object.values(keys).map((key) => Buffer.from(key).toString('hex'))).size, 4)
    assert.notDeepEqual(memberKey, deriveKeys(new Uint8Array(32).fill(1)).memberKey)
    assert.deepEqual(memberKey, deriveKeys(new Uint8Array(32)).memberKey)
  })
})

describe('the identity of a host', () => {
  it('is made once and kept', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mesh-'))
    try {
      const path = join(folder, 'a', 'identity')
      const made = await keepIdentity(path, async () => Uint8Array.of(1, 2, 3))
      const kept = await keepIdentity(path, async () => Uint8Array.of(4))
      assert.deepEqual([made, kept], [Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 3)])
      await assert.rejects(() => keepIdentity(folder, async () => Uint8Array.of(4)), { code: 'identity-unusable' })
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
