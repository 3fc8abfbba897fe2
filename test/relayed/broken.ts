import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'

import { systemClock } from '../../src/runtime/clock.ts'
import { stateOf, type LabGuest } from '../../testnet/index.ts'
import {
  isStopped, limit, SLOW_BYTES_PER_SECOND, untilStatus, uriOf, type Drive, type ManagerLab, type OpenTunnel,
  type PairOptions,
} from './managerlab.ts'

/** How long agents hang, seconds: `PAGEMESH_HANGS=3,30` makes it longer. */
const HANGS_SECONDS = (process.env.PAGEMESH_HANGS ?? '3').split(',').map(Number)
/** After this long without a sign of life, an agent counts as dead to the other. */
const SILENCE_SECONDS = 5
/** How soon a manager must see what can be known, ms. */
const NEWS_MS_MAX = 5_000

/** Tests of migrations through a tunnel with deaths, hangs and mismatches. */
export function broken(lab: () => ManagerLab, isWhole: boolean): void {
  let source: LabGuest | undefined
  let destination: LabGuest
  let tunnel: OpenTunnel | undefined

  /** It is reused by the next test, unless it has moved. */
  beforeEach(async () => { source ??= await lab().source() })

  afterEach(async () => {
    await tunnel?.close()
    await (destination as LabGuest | undefined)?.stop()
  })

  after(() => lab().endGuests())

  /** Slowly, so that faults can happen meanwhile. */
  async function begin(drive: Drive, options: PairOptions = {}): Promise<void> {
    destination = await lab().destinationFor(source!, options)
    tunnel = await lab().openTunnel(drive)
    await lab().begin({ source: source!, destination }, { bytesPerSecond: SLOW_BYTES_PER_SECOND, ...drive })
    await tunnel.begun()
  }

  /** The guest runs on at the source, and only the record of the migration is left. */
  async function stays(drive: Drive): Promise<void> {
    assert.equal(await stateOf(source!), 'running')
    await source!.moreBeats(1)
    await lab().untilNothingLeft()
    await tunnel!.close()
    assert.ok(!drive.path.startsWith('/') || !existsSync(drive.path), `${drive.path} is left`)
  }

  async function arrives(): Promise<void> {
    const moved = { source: source!, destination }
    source = undefined
    await lab().complete(moved)
  }

  async function within(what: () => Promise<void>, ms = NEWS_MS_MAX): Promise<void> {
    const begunAt = systemClock.now()
    await what()
    const took = systemClock.now() - begunAt
    assert.ok(took < ms, `it took ${Math.round(took)} ms`)
  }

  for (const victim of ['a', 'b'] as const) {
    it(`pauses in post-copy if the agent of ${victim} is killed, and resumes when it is back`, async () => {
      const drive = { ...lab().tcpDrive(), postcopy: true } as const
      await begin(drive)
      await untilStatus(source!, 'postcopy-active')
      // While the devices are still on their way, any broken network makes QEMU lose the guest.
      await untilStatus(destination, 'postcopy-active')
      await lab().cluster.agent(victim).kill()
      await within(() => untilStatus(source!, 'postcopy-paused'))
      await within(() => untilStatus(destination, 'postcopy-paused'))
      if (victim === 'b') {
        const { status, code } = await tunnel!.ended()
        assert.deepEqual([status, code], ['failed', 'postcopy-cut'])
      }
      await tunnel!.close()
      await lab().cluster.restartAgent(victim)
      await lab().met()
      const again = lab().tcpDrive()
      tunnel = await lab().openTunnel(again)
      await destination.qmp.execute('migrate-recover', { uri: uriOf(again.remotePath) })
      await source!.qmp.execute('migrate', { uri: uriOf(again.path), resume: true })
      await limit(source!)
      await arrives()
      const { status, mode } = await tunnel.ended()
      assert.deepEqual([status, mode], ['completed', 'postcopy'])
      await lab().untilNothingLeft()
    })
  }

  if (!isWhole) return

  it('is cancelled, and leaves the guest where it is', async () => {
    const drive = lab().unixDrive()
    await begin(drive)
    await untilStatus(source!, 'active')
    await source!.qmp.execute('migrate_cancel')
    await untilStatus(source!, 'cancelled')
    const { status, code } = await tunnel!.ended()
    assert.deepEqual([status, code], ['cancelled', 'cancelled'])
    await stays(drive)
  })

  it('fails if the destination QEMU is killed', async () => {
    const drive = lab().unixDrive()
    await begin(drive)
    await untilStatus(source!, 'active')
    await within(async () => {
      await destination.stop()
      await untilStatus(source!, 'failed')
    })
    const { status, code } = await tunnel!.ended()
    assert.deepEqual([status, code], ['failed', 'qemu-failed'])
    assert.deepEqual([(await lab().record('b', source!.name)).status], ['failed'])
    await stays(drive)
  })

  it('fails if the destination cannot load it', async () => {
    const drive = lab().unixDrive()
    await begin(drive, { destinationMiB: 104 })
    await within(() => untilStatus(source!, 'failed'))
    const { status, code } = await tunnel!.ended()
    assert.deepEqual([status, code], ['failed', 'qemu-failed'])
    await stays(drive)
  })

  for (const victim of ['a', 'b'] as const) {
    it(`fails at once if the agent of ${victim} is killed`, async () => {
      const drive = lab().unixDrive()
      await begin(drive)
      await untilStatus(source!, 'active')
      await lab().cluster.agent(victim).kill()
      await within(() => untilStatus(source!, 'failed'))
      if (victim === 'b') assert.equal((await tunnel!.ended()).status, 'failed')
      // A host that only saw the connections break does not claim an outcome.
      else assert.equal((await lab().record('b', source!.name)).status, 'unknown')
      await lab().cluster.restartAgent(victim)
      await lab().met()
      await lab().counted(source!)
      // The next agent replaces the leftovers of a killed one's tunnel.
      if (victim === 'a') tunnel = await lab().openTunnel(drive)
      await stays(drive)
    })
  }

  for (const seconds of HANGS_SECONDS) for (const victim of ['a', 'b'] as const) {
    const isLong = seconds > SILENCE_SECONDS
    const what = isLong ? 'fails' : 'goes on'
    it(`${what} where the agent of ${victim} hangs for ${seconds} s, and the guest runs`, async () => {
      const drive = lab().unixDrive()
      await begin(drive)
      await untilStatus(source!, 'active')
      const { pid } = lab().cluster.agent(victim)
      const beats = source!.beats()
      process.kill(pid, 'SIGSTOP')
      try {
        await systemClock.sleep(seconds * 1000)
        assert.ok(isStopped(pid))
        assert.ok(source!.beats() > beats, 'the guest ran meanwhile')
        // The other end notices the silence, and its QEMU's connection ends.
        if (isLong && victim === 'b') await within(() => untilStatus(source!, 'failed'))
      } finally {
        process.kill(pid, 'SIGCONT')
      }
      if (isLong) {
        await within(() => untilStatus(source!, 'failed'))
        assert.equal((await tunnel!.ended()).status, 'failed')
        await lab().met()
        await stays(drive)
        return
      }
      await limit(source!)
      await arrives()
      const { status, digestMatched, pages } = await tunnel!.ended()
      assert.deepEqual([status, digestMatched], ['completed', true])
      assert.ok(pages.ref > 0)
    })
  }
}
