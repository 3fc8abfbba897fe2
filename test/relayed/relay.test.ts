import assert from 'node:assert/strict'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'

import { askAgent, type Progress } from '../../src/daemon/control/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import {
  compareMemory, createCluster, ensureImage, waitFor, type LabCluster, type LabGuest, type QemuRelease,
} from '../../testnet/index.ts'
import { skipWithoutLab } from '../interop/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const NEWS_TIMEOUT_MS = 60_000
const SMALL = { system: 'busybox', work: 'idle', memoryMiB: 96 } as const
const RELEASES: readonly QemuRelease[] = ['system', 'next']
/** Slow enough to do something while it runs. */
const SLOW_BYTES_PER_SECOND = 1_000_000
const FAST_BYTES_PER_SECOND = 100e9

interface Ended {
  status: string
  code?: string
  mode: string
  channels: number
  digestMatched: boolean
  pages: { total: number; zero: number; ref: number; literal: number }
  qemuBytes: number
  wireBytes: number
}

/** A tunnel from a to b, as `pagemesh tunnel` asks for one. */
interface OpenTunnel {
  begun(): Promise<unknown>
  ended(): Promise<Ended>
  close(): Promise<void>
}

/** How a test drives QEMU, by QMP alone. */
interface Drive {
  /** Where the source connects, and where the destination waits. */
  path: string
  remotePath: string
  capabilities?: readonly string[]
  parameters?: Record<string, unknown>
  postcopy?: true
}

for (const release of RELEASES) describe(`a migration that a manager drives (${release} QEMU)`, function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster
  let count = 0
  const guests: LabGuest[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({
      hosts: ['a', 'b'],
      settings: {
        census: { intervalSeconds: 5 }, store: { maxBytes: 0 },
        tunnel: { to: ['/tmp/pm-*/b/guests/*.in', '127.64.0.0/16:20000-30999'] },
      },
    })
    const twin = await cluster.startGuest('b', { ...SMALL, name: 'twin', qemu: release })
    await twin.ready()
    await cluster.settled()
  })

  afterEach(async () => {
    for (const guest of guests.splice(0)) await guest.stop()
  })

  after(async () => cluster?.close())

  /** A source that runs, and a destination that stays paused when it has the guest. */
  async function pair(): Promise<{ source: LabGuest; destination: LabGuest }> {
    const name = `web${++count}`
    const source = await cluster.startGuest('a', { ...SMALL, name, qemu: release })
    guests.push(source)
    await source.ready()
    await cluster.settled()
    const destination = await cluster.startGuest('b', { ...SMALL, name, qemu: release, incoming: true, paused: true })
    guests.push(destination)
    return { source, destination }
  }

  const unixDrive = (): Drive => ({
    path: join(cluster.directory, 'a', `t${count}`), remotePath: join(cluster.directory, 'b', 'guests', `${count}.in`),
  })
  const tcpDrive = (): Drive => ({ path: `127.64.0.2:${20500 + count}`, remotePath: `127.64.0.9:${20500 + count}` })

  async function open({ path, remotePath }: Drive): Promise<OpenTunnel> {
    const cancel = new AbortController()
    const news: Progress[] = []
    const asking = askAgent({
      path: join(cluster.directory, 'a', 'control.sock'), cancel: cancel.signal,
      request: { command: 'tunnel', arguments: { to: 'b', path, remotePath } },
      onProgress: (one) => { news.push(one) },
    })
    await Promise.race([asking, seen('listening')])
    return {
      begun: () => seen('begun'),
      async ended() {
        const { result } = await seen('ended') as unknown as { result: Ended }
        return result
      },
      async close() {
        cancel.abort()
        await asking
      },
    }
    function seen(event: string): Promise<Progress> {
      return waitFor(async () => news.find((one) => 'event' in one && one.event === event), {
        clock: systemClock, what: `${event}, after ${JSON.stringify(news)}`, timeoutMs: NEWS_TIMEOUT_MS, pauseMs: 50,
      })
    }
  }

  async function begin(
    { source, destination }: { source: LabGuest; destination: LabGuest }, drive: Drive,
  ): Promise<void> {
    const { path, remotePath, capabilities = [], parameters = {}, postcopy } = drive
    for (const { qmp } of [source, destination]) {
      const all = ['return-path', ...capabilities, ...(postcopy === true ? ['postcopy-ram'] : [])]
      await qmp.execute('migrate-set-capabilities', {
        capabilities: all.map((capability) => ({ capability, state: true })),
      })
      if (Object.keys(parameters).length > 0) await qmp.execute('migrate-set-parameters', parameters)
    }
    await source.qmp.execute('migrate-set-parameters', {
      'max-bandwidth': postcopy === true ? SLOW_BYTES_PER_SECOND : FAST_BYTES_PER_SECOND,
      ...(postcopy === true ? {} : parameters),
    })
    await destination.qmp.execute('migrate-incoming', { uri: uriOf(remotePath) })
    // The agent's user is another than that of the lab's QEMUs.
    if (remotePath.startsWith('/')) chmodSync(remotePath, 0o777)
    await source.qmp.execute('migrate', { uri: uriOf(path) })
    if (postcopy !== true) return
    await untilStatus(source, 'active')
    await source.qmp.execute('migrate-start-postcopy')
    await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': FAST_BYTES_PER_SECOND })
  }

  /** Migrates through a tunnel, compares, and lets the source end, as managers do. */
  async function migrate(drive: (() => Drive) | Drive): Promise<Ended> {
    const both = await pair()
    const { source, destination } = both
    const how = typeof drive === 'function' ? drive() : drive
    const tunnel = await open(how)
    try {
      await begin(both, how)
      await untilStatus(source, 'completed')
      await untilStatus(destination, 'completed')
      assert.deepEqual((await compareMemory(source, destination)).differences, [])
      await source.stop()
      const ended = await tunnel.ended()
      assert.equal(ended.status, 'completed', JSON.stringify(ended))
      // A destination that has every urgent page may close their channel before its last word.
      assert.ok(ended.digestMatched || how.capabilities?.includes('postcopy-preempt'))
      assert.ok(ended.pages.ref > 0, 'pages became references')
      assert.equal(ended.pages.total, ended.pages.zero + ended.pages.ref + ended.pages.literal)
      await destination.qmp.execute('cont')
      await destination.moreBeats(1)
      return ended
    } finally {
      await tunnel.close()
    }
  }

  it('passes in pre-copy over a UNIX socket', async () => {
    const ended = await migrate(unixDrive)
    assert.deepEqual([ended.mode, ended.channels], ['precopy', 1])
    assert.ok(ended.wireBytes < ended.qemuBytes / 2, `${ended.wireBytes} of ${ended.qemuBytes} bytes`)
    const [record] = (JSON.parse((await cluster.agent('b').command('history', '--json')).output) as {
      handoffs: { driver: string; status: string; direction: string }[]
    }).handoffs
    assert.deepEqual([record!.driver, record!.status, record!.direction], ['relay', 'completed', 'incoming'])
  })

  it('passes with xbzrle and auto-converge over loopback, as Proxmox sets them', async () => {
    const ended = await migrate(() => ({ ...tcpDrive(), capabilities: ['xbzrle', 'auto-converge'] }))
    assert.equal(ended.channels, 1)
  })

  it('passes over 8 multifd channels and a UNIX socket, as KubeVirt sets them', async () => {
    const ended = await migrate(() => ({
      ...unixDrive(), capabilities: ['multifd'], parameters: { 'multifd-channels': 8 },
    }))
    assert.equal(ended.channels, 9)
  })

  it('passes in post-copy', async () => {
    const ended = await migrate(() => ({ ...tcpDrive(), postcopy: true }))
    assert.deepEqual([ended.mode, ended.channels], ['postcopy', 1])
  })

  it('passes in post-copy with a channel for urgent pages', async () => {
    const ended = await migrate(() => ({ ...unixDrive(), postcopy: true, capabilities: ['postcopy-preempt'] }))
    assert.deepEqual([ended.mode, ended.channels], ['postcopy', 2])
  })

  it('that is cancelled leaves the guest where it is', async () => {
    const both = await pair()
    const drive = unixDrive()
    const tunnel = await open(drive)
    await begin(both, { ...drive, parameters: { 'max-bandwidth': SLOW_BYTES_PER_SECOND } })
    await untilStatus(both.source, 'active')
    await tunnel.begun()
    await both.source.qmp.execute('migrate_cancel')
    await untilStatus(both.source, 'cancelled')
    assert.equal((await tunnel.ended()).status, 'cancelled')
    await both.source.moreBeats(1)
    await tunnel.close()
  })

  for (const victim of ['a', 'b']) it(`breaks at once where the agent of ${victim} dies, and stays`, async () => {
    const both = await pair()
    const drive = unixDrive()
    const tunnel = await open(drive)
    await begin(both, { ...drive, parameters: { 'max-bandwidth': SLOW_BYTES_PER_SECOND } })
    await untilStatus(both.source, 'active')
    await tunnel.begun()
    await cluster.agent(victim).kill()
    const killedAt = systemClock.now()
    await untilStatus(both.source, 'failed')
    assert.ok(systemClock.now() - killedAt < 3000, 'the manager sees it at once')
    await both.source.moreBeats(1)
    if (victim === 'b') {
      assert.notEqual((await tunnel.ended()).status, 'completed')
      await tunnel.close()
    }
    await cluster.restartAgent(victim)
    await cluster.settled()
  })
})

function uriOf(address: string): string {
  return address.startsWith('/') ? `unix:${address}` : `tcp:${address}`
}

async function untilStatus(guest: LabGuest, status: string): Promise<void> {
  await waitFor(async () => {
    const said = await guest.qmp.execute('query-migrate') as { status?: string; 'error-desc'?: string }
    if (said.status === 'failed' && status !== 'failed') throw new Error(`it failed: ${said['error-desc'] ?? ''}`)
    return said.status === status ? true : undefined
  }, { clock: systemClock, what: `${guest.name} to be ${status}`, timeoutMs: NEWS_TIMEOUT_MS, pauseMs: 20 })
}
