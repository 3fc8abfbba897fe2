import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { deriveKeys, keyEpoch, readClusterKey, writeClusterKey } from '../../../src/mesh/index.ts'
import { keepIdentity } from '../../../src/mesh/libp2p/identity.ts'

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
    await assert.rejects(() => readClusterKey(path), { code: 'key-missing', message: /\(ENOENT\)/, advice: /keygen/ })
    await assert.rejects(() => writeClusterKey(join(folder, 'no', 'key')), { code: 'key-not-written' })
    await writeClusterKey(path)
    await chmod(path, 0o640)
    await assert.rejects(() => readClusterKey(path), {
      code: 'key-exposed', fault: 'usage', data: { path, mode: '640' },
    })
    for (const mode of [0o601, 0o602, 0o604, 0o610, 0o620]) {
      await chmod(path, mode)
      await assert.rejects(() => readClusterKey(path), { code: 'key-exposed' }, mode.toString(8))
    }
    const long = 'A'.repeat(44)
    const other = `pagemesh-key-2:${long.slice(1)}`
    for (const text of ['', 'pagemesh-key-1:', other, `pagemesh-key-1:${long}`, long.repeat(99)]) {
      await writeFile(path, text)
      await chmod(path, 0o600)
      await assert.rejects(() => readClusterKey(path), { code: 'key-malformed', fault: 'usage', data: { path } })
    }
  })

  it('may stand among white space, in a file that is no longer than a kilobyte', async () => {
    await writeClusterKey(path)
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.padEnd(1024))
    assert.equal((await readClusterKey(path)).length, 32)
    await writeFile(path, text.padEnd(1025))
    await assert.rejects(() => readClusterKey(path), { code: 'key-malformed' })
  })

  it('may be read by its owner under any umask', async () => {
    const before = process.umask(0o777)
    try {
      await writeClusterKey(path)
    } finally {
      process.umask(before)
    }
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })

  it('gives every use a key of its own', () => {
    const keys = deriveKeys(new Uint8Array(32))
    const { memberKey } = keys
    for (const key of Object.values(keys) as Uint8Array[]) assert.equal(key.length, 32)
    assert.equal(new Set(Object.values(keys).map((key) => Buffer.from(key).toString('hex'))).size, 4)
    assert.notDeepEqual(memberKey, deriveKeys(new Uint8Array(32).fill(1)).memberKey)
    assert.deepEqual(memberKey, deriveKeys(new Uint8Array(32)).memberKey)
  })
})

describe('the epoch of a cluster key', () => {
  const [key, other] = [new Uint8Array(32), new Uint8Array(32).fill(1)]

  it('is named after it without revealing it', () => {
    assert.match(keyEpoch(key).id, /^[0-9a-f]{16}$/)
    assert.equal(keyEpoch(key).id, keyEpoch(key).id)
    assert.notEqual(keyEpoch(key).id, keyEpoch(other).id)
  })

  it('has a page key for each tenant, that of the shared one as it was before there were tenants', () => {
    assert.deepEqual(keyEpoch(key).pageKeyOf('shared'), deriveKeys(key).pageKey)
    const keys = [key, other].flatMap((from) => ['shared', 'blue', 'blu', 'e'].map((tenant) =>
      Buffer.from(keyEpoch(from).pageKeyOf(tenant)).toString('hex')))
    assert.equal(new Set(keys).size, keys.length)
    assert.ok(keys.every((text) => text.length === 64))
  })

  it('has a store key for each tenant, of which no other key is a part', () => {
    const epochs = [key, other].map((from) => ({ ...keyEpoch(from), ...deriveKeys(from) }))
    const keys = epochs.flatMap(({ pageKeyOf, storeKeyOf, pageKey, memberKey, sliceKey, possessionKey }) =>
      [...['shared', 'blue', 'blu'].map(storeKeyOf), pageKeyOf('blue'), pageKey, memberKey, sliceKey, possessionKey])
    assert.equal(new Set(keys.map((each) => Buffer.from(each).toString('hex'))).size, keys.length)
    assert.ok(keys.every(({ length }) => length === 32))
    assert.deepEqual(keyEpoch(key).storeKeyOf('blue'), epochs[0]!.storeKeyOf('blue'))
  })
})

describe('the identity of a host', () => {
  let folder: string
  let path: string
  const generate = async (): Promise<Uint8Array> => Uint8Array.of(1, 2, 3)
  const other = async (): Promise<Uint8Array> => Uint8Array.of(4)

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mesh-'))
    path = join(folder, 'deep', 'a', 'identity')
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('is made once and kept, where nobody else can read it', async () => {
    const made = await keepIdentity(path, generate)
    const kept = await keepIdentity(path, other)
    assert.deepEqual([made, kept], [Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 3)])
    const modes = await Promise.all([path, dirname(path)].map(async (made) => (await stat(made)).mode & 0o777))
    assert.deepEqual(modes, [0o600, 0o700])
    assert.deepEqual(await readdir(dirname(path)), ['identity'])
  })

  it('is made anew beside what a crash has left', async () => {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(`${path}.new`, 'half')
    assert.deepEqual(await keepIdentity(path, generate), Uint8Array.of(1, 2, 3))
    assert.deepEqual(new Uint8Array(await readFile(path)), Uint8Array.of(1, 2, 3))
  })

  it('is not taken from a file that others can change', async () => {
    await keepIdentity(path, generate)
    await chmod(path, 0o602)
    await assert.rejects(keepIdentity(path, other), { code: 'directory-exposed', advice: `Run \`chmod o-w ${path}\`.` })
  })

  it('says what keeps it from being read, made or written', async () => {
    const unusable = { code: 'identity-unusable', fault: 'host' }
    await assert.rejects(keepIdentity(folder, generate), { ...unusable, data: { path: folder } })
    const cause = new Error('no chance')
    await assert.rejects(keepIdentity(path, async () => { throw cause }), { ...unusable, cause })
    await writeFile(join(folder, 'file'), '')
    await assert.rejects(keepIdentity(join(folder, 'file', 'identity'), generate), unusable)
    await mkdir(`${path}.new`)
    await assert.rejects(keepIdentity(path, generate), unusable)
  })
})
