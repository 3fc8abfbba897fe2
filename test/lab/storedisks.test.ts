/**
 * Agents whose stores are on file systems that hosts have: memory, an overlay as in a container, a disk that fills up,
 * and one that the kernel makes read-only after an error.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { systemErrorCode } from '../../src/runtime/errors.ts'
import { findAgentUser } from '../../testnet/agentuser.ts'
import { createCluster, stateOf, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { expectArrivedWhole, moveToStandstill, skipWithoutLab } from '../support/labmove.ts'

const GUEST = { name: 'web', system: 'busybox', work: 'idle', memoryMiB: 96 } as const
const DISK_MIB = 64

describe('an agent with its store', function () {
  this.timeout(300_000)
  // Each step begins where the one before ended.
  this.bail(true)
  let cluster: LabCluster | undefined
  let guest: LabGuest
  const mounted: string[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    if (process.getuid?.() !== 0) {
      console.log('      skipped: to mount disks takes root')
      this.skip()
    }
    cluster = await createCluster({ hosts: ['a', 'b', 'c'], withoutAgents: true })
  })

  after(async () => {
    for (const host of ['a', 'b', 'c']) await cluster?.agent(host)?.stop()
    for (const at of mounted.toReversed()) execFileSync('umount', [at])
    await cluster?.close()
  })

  /** A directory for the agent's user on a file system of its own. */
  async function mountDisk(name: string, ...words: readonly string[]): Promise<string> {
    const at = join(cluster!.directory, name)
    mkdirSync(at, { recursive: true })
    execFileSync('mount', [...words, at], { stdio: 'pipe' })
    mounted.push(at)
    const user = await findAgentUser()
    if (user !== undefined) chownSync(at, user.uid, user.gid)
    return join(at, 'store')
  }

  async function overlay(): Promise<string> {
    // The upper directory cannot be on an overlay itself.
    await mountDisk('layers', '-t', 'tmpfs', 'pagemesh-test')
    const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => {
      const path = join(cluster!.directory, 'layers', name)
      mkdirSync(path)
      return path
    })
    const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
    return await mountDisk('overlay', '-t', 'overlay', '-o', layers, 'pagemesh-test')
  }

  async function realDisk(): Promise<string> {
    const image = join(cluster!.directory, 'disk.image')
    execFileSync('truncate', ['--size', `${DISK_MIB}M`, image])
    execFileSync('mkfs.ext4', ['-q', image])
    return await mountDisk('disk', '-o', 'loop', image)
  }

  const startedWith = async (host: string, path: string): Promise<void> => {
    await cluster!.restartAgent(host, { store: { path }, census: { intervalSeconds: 5 } })
  }
  const storedAt = async (host: string): Promise<number> => (await cluster!.agent(host).status()).store.pages

  /** Moves the guest and compares its memory. */
  async function moveWhole(from: string, to: string): Promise<void> {
    const arriving = await cluster!.startGuest(to, { ...GUEST, incoming: true })
    await cluster!.settled()
    await moveToStandstill(cluster!, { guest, from, to, mode: 'precopy' })
    await expectArrivedWhole(guest, arriving, GUEST.memoryMiB)
    await guest.stop()
    guest = arriving
  }

  /** Asks for a move that must be refused, and leaves the guest as it was. Returns what the operator is told. */
  async function refusedMove(from: string, to: string): Promise<string> {
    const arriving = await cluster!.startGuest(to, { ...GUEST, incoming: true })
    await cluster!.settled()
    const { status, output, errors } = await cluster!.agent(from).migrate(GUEST.name, to)
    assert.notEqual(status, 0)
    assert.deepEqual([await stateOf(guest), await stateOf(arriving)], ['running', 'inmigrate'])
    await guest.moreBeats(1)
    await arriving.stop()
    return output + errors
  }

  /** Expects that pages of the guest that left are kept, and still are after a restart. */
  async function expectKept(host: string, path: string): Promise<void> {
    const kept = await storedAt(host)
    assert.ok(kept > 500, `${kept} pages`)
    await cluster!.agent(host).stop()
    await startedWith(host, path)
    assert.equal(await storedAt(host), kept)
  }

  let disk = ''

  it('on an overlay or in memory moves a guest, keeps its pages, and has them after a restart', async () => {
    disk = await realDisk()
    const [layers, memory] = [await overlay(), await mountDisk('memory', '-t', 'tmpfs', 'pagemesh-test')]
    await startedWith('a', disk)
    await startedWith('b', layers)
    await startedWith('c', memory)
    guest = await cluster!.startGuest('b', GUEST)
    await guest.moreBeats(2)
    await cluster!.settled()
    await moveWhole('b', 'c')
    await expectKept('b', layers)
    await moveWhole('c', 'b')
    await expectKept('c', memory)
  })

  it('on a full disk refuses to move what it could not answer for, and goes on when there is room', async () => {
    const directory = join(disk, '..')
    fill(directory)
    const told = await refusedMove('b', 'a')
    assert.match(told, /ENOSPC/)
    assert.match(told, /Make room on its disk/)
    for (const name of readdirSync(directory)) if (name.startsWith('ballast')) rmSync(join(directory, name))
    await moveWhole('b', 'a')
  })

  it('on a disk that becomes read-only goes on, says why it moves nothing, and starts there again', async () => {
    const kept = await storedAt('a')
    // What ext4 does after an error of the disk; pages that were not on it yet would be gone.
    execFileSync('sync', ['--file-system', disk])
    execFileSync('mount', ['-o', 'remount,abort', join(disk, '..')])
    const told = await refusedMove('a', 'b')
    assert.match(told, /EROFS/)
    assert.ok(cluster!.agent('a').running)
    assert.equal(await storedAt('a'), kept, 'it goes on reading')
    await cluster!.agent('a').stop()
    await startedWith('a', disk)
    assert.match(cluster!.agent('a').log, /the page store cannot be used: this host keeps no pages/)
    assert.match(cluster!.agent('a').log, /EROFS/)
    assert.match(await refusedMove('a', 'b'), /EROFS/)
  })
})

/** Leaves not one block. */
function fill(directory: string): void {
  for (let bytes = 2 ** 20, part = 0; bytes >= 4096; part++) {
    try {
      writeFileSync(join(directory, `ballast${part}`), Buffer.alloc(bytes))
    } catch (error) {
      assert.equal(systemErrorCode(error), 'ENOSPC')
      bytes /= 2
    }
  }
}
