import assert from 'node:assert/strict'
import { chownSync, copyFileSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

import type { AgentStatus, KeysReport } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createCluster, ensureImage, runCli, waitFor, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { expectArrivedWhole, moveToStandstill, skipWithoutLab } from '../support/labmove.ts'

const TEST_TIMEOUT_MS = 600_000
const WAIT_MS = 60_000
const HOSTS = ['a', 'b', 'c', 'd'] as const
/** Small, and at work: their memory changes while they move. */
const SMALL = { system: 'busybox', work: 'random', memoryMiB: 128 } as const
/** The hosts between which each guest goes to and fro. */
const WAYS = { one: ['a', 'b'], two: ['b', 'c'] } as const

describe('a rotation of the cluster key while guests move and one host is down', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined

  before(async function () {
    await skipWithoutLab.call(this)
    await ensureImage()
    cluster = await createCluster({
      hosts: [...HOSTS], withoutAgents: true, settings: { store: { maxBytes: 0 }, census: { intervalSeconds: 3 } },
    })
    for (const host of HOSTS) {
      copyFileSync(cluster.clusterKey, keyFile(host))
      await start(host)
    }
  })

  after(() => cluster?.close())

  const keyFile = (host: string): string => join(cluster!.directory, `${host}.key`)
  const start = async (host: string): Promise<void> => {
    await cluster!.restartAgent(host, { clusterKey: keyFile(host) })
  }

  /** Moves the guest to and fro until `isOver`, and compares its memory each time. */
  async function moveOn(
    first: LabGuest, [home, away]: readonly [string, string], isOver: () => boolean,
  ): Promise<{ guest: LabGuest; moves: number }> {
    let [guest, at, other, moves] = [first, home, away, 0]
    for (; !isOver(); moves += 1) {
      const arrived = await cluster!.startGuest(other, { ...SMALL, name: guest.name, incoming: true })
      await moveToStandstill(cluster!, { guest, from: at, to: other, mode: 'precopy' })
      await expectArrivedWhole(guest, arrived, SMALL.memoryMiB)
      await guest.stop()
      ;[guest, at, other] = [arrived, other, at]
    }
    return { guest, moves }
  }

  async function keys(host: string, ...words: string[]): Promise<{ status: number; report: KeysReport }> {
    const { status, output, errors } = await cluster!.agent(host).command('keys', ...words, '--json')
    assert.notEqual(output, '', errors)
    return { status, report: JSON.parse(output) as KeysReport }
  }

  async function until(host: string, what: string, holds: (status: AgentStatus) => boolean): Promise<void> {
    await waitFor(async () => (holds(await cluster!.agent(host).status()) ? true : undefined), {
      clock: systemClock, what: `${host} ${what}`, timeoutMs: WAIT_MS, pauseMs: 100,
    })
  }

  it('disturbs no guest, and leaves that host out, which is told what to do', async () => {
    const guests = await Promise.all(Object.entries(WAYS).map(async ([name, [home]]) => {
      const guest = await cluster!.startGuest(home, { name, ...SMALL })
      await guest.ready()
      return guest
    }))
    await cluster!.settled()
    const owner = statSync(keyFile('a'))
    await cluster!.agent('d').stop()
    for (const host of ['a', 'b', 'c']) await until(host, 'to see two others', ({ peers }) => peers.length === 2)

    let isOver = false
    const moving = Promise.all(Object.values(WAYS).map((way, index) => moveOn(guests[index]!, way, () => isOver)))
    const beganAt = performance.now()
    let ids: string[] = []
    try {
      const file = join(cluster!.directory, 'next.key')
      const made = await runCli(cluster!.agent('a').host, ['keygen', file])
      assert.equal(made.status, 0, made.errors)
      ids = await steps(file)
    } finally {
      isOver = true
      await moving.catch(() => undefined)
    }
    const moved = await moving
    console.log(`      rotated within ${Math.round(performance.now() - beganAt)} ms, while the guests moved ` +
      `${moved.map(({ moves }) => moves).join(' and ')} times`)
    assert.ok(moved.every(({ moves }) => moves > 0))
    const after = statSync(keyFile('a'))
    assert.deepEqual([after.uid, after.gid, after.mode & 0o777], [owner.uid, owner.gid, 0o600])

    await start('d')
    await until('d', 'to know whose key it lacks', ({ keys: { strangers } }) => strangers.length > 0)
    const { stdout, status } = await doctor('d')
    assert.equal(status, 1)
    assert.match(stdout, /cluster key.*This host sees no other: those that it reaches hold another key/)
    assert.match(stdout, /Copy the key file from a host of the cluster/)
    await cluster!.agent('d').stop()
    copyFileSync(keyFile('a'), keyFile('d'))
    chownSync(keyFile('d'), owner.uid, owner.gid)
    await start('d')
    await until('d', 'to see the three others', ({ peers }) => peers.length === 3)
    const listed = await keys('d')
    assert.deepEqual(listed.report.hosts.map(({ accepts }) => accepts), HOSTS.map(() => [ids[1]]))
    assert.deepEqual(readFileSync(keyFile('d')), readFileSync(keyFile('b')))
    for (const { guest } of moved) await guest.moreBeats(1)
  })

  /** The whole rotation; returns the ids of both keys. */
  async function steps(file: string): Promise<string[]> {
    const installed = await keys('a', 'install', file)
    assert.deepEqual([installed.status, installed.report.absent], [1, ['d']], 'one host has not answered')
    const [old = '', id = ''] = installed.report.hosts[0]?.accepts ?? []
    assert.equal((await keys('a', 'install', file, '--without', 'd')).status, 0)
    assert.equal((await keys('b', 'use', id, '--without', 'd')).status, 0)
    const early = await cluster!.agent('c').command('keys', 'remove', old)
    assert.deepEqual([early.status, /d, which cannot be reached/.test(early.errors)], [1, true])
    const removed = await keys('c', 'remove', old, '--without', 'd')
    assert.deepEqual([removed.status, removed.report.hosts.map(({ accepts }) => accepts)], [0, [[id], [id], [id]]])
    return [old, id]
  }

  async function doctor(host: string): Promise<{ status: number; stdout: string }> {
    const { status, output } = await cluster!.agent(host).command('doctor')
    return { status, stdout: output }
  }
})
