import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { systemClock } from '../../../src/runtime/clock.ts'
import { lockStore, refuseNetwork } from '../../../src/store/lock.ts'

const components = { clock: systemClock }

describe('the lock of a store', () => {
  let directory: string
  let path: string

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'lock-'))
    path = join(directory, 'store.lock')
  })

  afterEach(() => rmSync(directory, { recursive: true }))

  it('is refused on NFS, with advice', () => {
    const advice = 'Set `store.path` to a directory on a disk of this host.'
    assert.throws(() => refuseNetwork(directory, 0x6969), { code: 'store-unusable', message: /is on NFS/, advice })
    // Ext4 and tmpfs.
    for (const type of [0xef53, 0x0102_1994]) refuseNetwork(directory, type)
  })

  it('is there while it is held, alone, and goes with its release', async () => {
    const lock = await lockStore(components, directory)
    assert.deepEqual(readdirSync(directory), ['store.lock'])
    const data = { path: directory, holder: `process ${process.pid}` }
    await assert.rejects(lockStore(components, directory), { code: 'store-in-use', data })
    assert.deepEqual(readdirSync(directory), ['store.lock'])
    await lock.release()
    assert.deepEqual(readdirSync(directory), [])
  })

  it('is left alone at release when another agent\'s stands there', async () => {
    const lock = await lockStore(components, directory)
    rmSync(path)
    const successor = await lockStore(components, directory)
    await lock.release()
    assert.ok(existsSync(path), 'the lock is the successor\'s')
    await assert.rejects(lockStore(components, directory), { code: 'store-in-use' })
    await successor.release()
    assert.ok(!existsSync(path))
  })

  it('is taken over from a holder that is dead, whatever that left there', async () => {
    for (const leave of [() => writeFileSync(path, 'no socket'), leaveSocketOfDead]) {
      await leave(path)
      assert.ok(existsSync(path))
      const lock = await lockStore(components, directory)
      await assert.rejects(lockStore(components, directory), { code: 'store-in-use' })
      await lock.release()
      assert.deepEqual(readdirSync(directory), [])
    }
  })

  it('is not taken from a holder that hangs up without a word', async () => {
    const silent = createServer((socket) => socket.end())
    await new Promise<void>((resolve) => silent.listen(path, resolve))
    try {
      await assert.rejects(lockStore(components, directory), { code: 'store-in-use', message: /does not answer/ })
      assert.ok(existsSync(path))
    } finally {
      silent.close()
    }
  })

  it('cannot be had where no directory is', async () => {
    await assert.rejects(lockStore(components, join(directory, 'none')), { code: 'store-unusable', message: /ENOENT/ })
  })
})

/** A socket that nobody listens at any more: what a killed agent leaves. */
async function leaveSocketOfDead(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`
  await new Promise((resolve) => spawn(process.execPath, ['-e', script]).once('exit', resolve))
  assert.throws(() => readFileSync(path), { code: 'ENXIO' })
}
