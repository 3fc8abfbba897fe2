import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  clusterKeyText, deriveKeys, keyIdOf, KeyRing, readClusterKey, readClusterKeys, replaceClusterKeys,
} from '../../../src/mesh/index.ts'

const [OLD, NEW, THIRD] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array, Uint8Array]

const KEY_FILE = new URL('../../../src/mesh/keyfile.ts', import.meta.url).href

describe('the key file while the cluster key is rotated', () => {
  let folder: string
  let path: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-keyfile-'))
    path = join(folder, 'cluster.key')
    await writeFile(path, clusterKeyText(OLD), { mode: 0o600 })
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('has two lines, of which the first is used, and one again when it is over', async () => {
    await replaceClusterKeys(path, { used: OLD, other: NEW }, { used: OLD })
    assert.equal(await readFile(path, 'utf8'), clusterKeyText(OLD) + clusterKeyText(NEW))
    assert.deepEqual(await readClusterKeys(path), { used: OLD, other: NEW })
    assert.deepEqual(await readClusterKey(path), OLD)
    await replaceClusterKeys(path, { used: NEW, other: OLD }, { used: OLD, other: NEW })
    assert.deepEqual(await readClusterKeys(path), { used: NEW, other: OLD })
    await replaceClusterKeys(path, { used: NEW }, { used: NEW, other: OLD })
    assert.equal(await readFile(path, 'utf8'), clusterKeyText(NEW))
    assert.deepEqual(await readdir(folder), ['cluster.key'])
  })

  it('is no key file with one key twice, three keys, or something between', async () => {
    for (const text of [
      clusterKeyText(OLD, OLD), clusterKeyText(OLD, NEW) + clusterKeyText(THIRD), `${clusterKeyText(OLD)}#\n`,
      `${clusterKeyText(OLD)}\n${clusterKeyText(NEW)}`,
    ]) {
      await writeFile(path, text)
      await assert.rejects(readClusterKeys(path), { code: 'key-malformed' }, text)
    }
  })

  it('keeps its mode, its owner, and the link that it may be', async () => {
    await chmod(path, 0o400)
    if (process.getuid?.() === 0) await chown(path, 0, 12_345)
    const { uid, gid } = await stat(path)
    const link = join(folder, 'link')
    await symlink(path, link)
    await replaceClusterKeys(link, { used: NEW }, { used: OLD })
    const after = await stat(path)
    assert.deepEqual([after.mode & 0o777, after.uid, after.gid], [0o400, uid, gid])
    assert.ok((await lstat(link)).isSymbolicLink())
    assert.deepEqual(await readClusterKey(path), NEW)
  })

  it('is left as it is if somebody changed it under the agent, and nothing else is left', async () => {
    for (const before of [{ used: NEW }, { used: OLD, other: NEW }]) {
      const replacing = replaceClusterKeys(path, { used: THIRD }, before)
      await assert.rejects(replacing, { code: 'key-file-changed', fault: 'host' })
    }
    await writeFile(path, clusterKeyText(OLD, NEW))
    for (const before of [{ used: OLD }, { used: NEW, other: OLD }]) {
      await assert.rejects(replaceClusterKeys(path, { used: THIRD }, before), { code: 'key-file-changed' })
    }
    assert.equal(await readFile(path, 'utf8'), clusterKeyText(OLD, NEW))
  })

  it('says what to do if it cannot be written', async () => {
    await mkdir(`${path}.new`)
    await assert.rejects(replaceClusterKeys(path, { used: NEW }, { used: OLD }), {
      code: 'key-not-written', fault: 'host', advice: new RegExp(`ReadWritePaths=${path} `),
    })
    assert.deepEqual(await readClusterKeys(path), { used: OLD })
  })

  it('is written in its place where the agent may not give another file to its owner, such as root', async function () {
    if (process.getuid?.() !== 0) this.skip()
    const script = `
      const { replaceClusterKeys } = await import(${JSON.stringify(KEY_FILE)})
      const [one, other] = [1, 2].map((byte) => new Uint8Array(32).fill(byte))
      const path = ${JSON.stringify(path)}
      await replaceClusterKeys(path, { used: one, other }, { used: one })
      await replaceClusterKeys(path, { used: other }, { used: one, other })`
    const { ino } = await stat(path)
    // As the service runs: neither root nor with root's right to give files away.
    const { status, stderr } = spawnSync('setpriv', [
      '--reuid=64998', '--regid=64998', '--clear-groups', '--inh-caps=+dac_override', '--ambient-caps=+dac_override',
      process.execPath, '--input-type=module', '-e', script,
    ], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal(await readFile(path, 'utf8'), clusterKeyText(NEW))
    const after = await stat(path)
    assert.deepEqual([after.ino, after.uid, after.mode & 0o777], [ino, 0, 0o600])
    assert.deepEqual(await readdir(folder), ['cluster.key'])
  })

  it('takes the place of what a crash left', async () => {
    await writeFile(`${path}.new`, 'half', { mode: 0o644 })
    await replaceClusterKeys(path, { used: NEW }, { used: OLD })
    assert.deepEqual(await readdir(folder), ['cluster.key'])
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })
})

describe('a ring of keys', () => {
  it('names each key without telling it', () => {
    assert.match(keyIdOf(OLD), /^[0-9a-f]{16}$/)
    assert.notEqual(keyIdOf(OLD), keyIdOf(NEW))
    const derived = Object.values(deriveKeys(OLD)).map((key) => Buffer.from(key as Uint8Array).toString('hex'))
    for (const key of derived) assert.ok(!key.startsWith(keyIdOf(OLD)))
  })

  it('proves by what it has at that moment, and says when that changes', () => {
    const ring = new KeyRing({ used: OLD })
    let changes = 0
    const stop = ring.onChange(() => { changes += 1 })
    assert.deepEqual([ring.memberKey, ring.otherMemberKey], [deriveKeys(OLD).memberKey, undefined])
    assert.deepEqual([ring.ids, ring.held], [[keyIdOf(OLD)], { used: OLD }])
    ring.set({ used: NEW, other: OLD })
    assert.deepEqual([ring.memberKey, ring.otherMemberKey], [deriveKeys(NEW).memberKey, deriveKeys(OLD).memberKey])
    assert.deepEqual(ring.ids, [keyIdOf(NEW), keyIdOf(OLD)])
    assert.deepEqual(ring.held, { used: NEW, other: OLD })
    assert.deepEqual(ring.find(keyIdOf(OLD))?.clusterKey, OLD)
    stop()
    ring.set({ used: NEW })
    assert.deepEqual([ring.find(keyIdOf(OLD)), ring.otherMemberKey, changes], [undefined, undefined, 1])
  })
})
