import { strict as assert } from 'node:assert'
import { randomBytes } from 'node:crypto'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { MigrationNews, SettingsUndo } from '../../src/guest/index.ts'
import { skipWithoutQemu, until, type Qemu } from '../support/qemuprocess.ts'
import { close, GuestLab, hasCode, Relay, settingsOf } from './guestmoves.ts'

const MEBIBYTE = 1024 * 1024

describe('the two sides of a real QEMU\'s migration', function () {
  this.timeout(120_000)
  let lab: GuestLab

  before(skipWithoutQemu)

  beforeEach(() => { lab = new GuestLab() })
  afterEach(() => lab.close())

  function disk(name: string): string[] {
    const path = join(lab.directory, name)
    writeFileSync(path, '')
    truncateSync(path, 8 * MEBIBYTE)
    return ['-drive', `if=none,id=d0,file=${path},format=raw`, '-device', 'virtio-blk-pci,drive=d0']
  }

  for (const mode of ['precopy', 'postcopy'] as const) {
    it(`keep a guest that arrived in ${mode} paused until it is released, and put everything back`, async () => {
      const source = await lab.boot('a')
      const target = await lab.wait('b')
      const before = await settingsOf(source)
      const move = await lab.move('a', 'b', mode)
      assert.equal(await move.incoming.state(), 'paused')
      assert.equal(await move.outgoing.state(), 'postmigrate')
      assert.equal(await move.incoming.release('running'), 'running')
      assert.equal(await move.incoming.release('running'), 'running', 'saying it twice does no harm')
      const { totalMs, downtimeMs, totalBytes } = await move.outgoing.progress()
      assert.ok(totalMs !== undefined && downtimeMs !== undefined && totalBytes >= 64 * MEBIBYTE)
      await assert.rejects(move.outgoing.prepare({ mode }), (error) => hasCode(error, 'guest-not-movable'))
      await assert.rejects(move.incoming.prepare({ mode }), (error) => hasCode(error, 'no-waiting-guest'))
      await assert.rejects(move.incoming.end(), (error) => hasCode(error, 'guest-runs'))
      await close(move)
      assert.deepEqual(await settingsOf(source), before)
      assert.deepEqual(await settingsOf(target), before)
    })

    it(`let a guest run that arrived in ${mode} although QEMU was started with -S`, async () => {
      await lab.boot('a')
      await lab.wait('b', '-S')
      const move = await lab.move('a', 'b', mode)
      assert.equal(await move.incoming.state(), 'paused')
      assert.equal(await move.incoming.release('running'), 'running')
      await close(move)
    })
  }

  it('let a guest run in post-copy before all of its memory is here', async () => {
    const source = await lab.boot('a')
    await lab.wait('b', '-S')
    const move = await lab.prepare('a', 'b', 'postcopy')
    await source.command('migrate-set-parameters', { 'max-bandwidth': 2e6, 'max-postcopy-bandwidth': 2e5 })
    await move.incoming.begin(move.path)
    await move.outgoing.begin(move.path)
    await until(() => move.statuses.includes('active'))
    await move.outgoing.startPostcopy()
    await until(async () => (await move.incoming.progress()).status === 'postcopy-active')
    await move.incoming.release('running')
    await until(async () => await move.incoming.state() === 'running')
    assert.equal((await move.outgoing.progress()).status, 'postcopy-active')
    const left = await move.outgoing.close()
    assert.equal(left?.capabilities['postcopy-ram'], false, 'what a post-copy still needs stays')
    await move.incoming.close()
  })

  it('leave a guest paused that was paused, or never started', async () => {
    await lab.boot('a', '-S')
    await lab.wait('b')
    assert.equal(await lab.moveAndRelease('a', 'b', 'prelaunch'), 'prelaunch')
    const source = await lab.boot('c')
    await source.command('stop')
    await lab.wait('d')
    assert.equal(await lab.moveAndRelease('c', 'd', 'paused'), 'paused')
  })

  for (const format of ['raw', 'qcow2'] as const) {
    it(`let a paused guest with a ${format} disk move twice, and then write its disk`, async () => {
      const path = join(lab.directory, 'disk')
      if (format === 'raw') disk('disk')
      else await makeQcow2(path)
      const args = ['-drive', `if=none,id=d0,file=${path},format=${format}`, '-device', 'virtio-blk-pci,drive=d0']
      const source = await lab.boot('a', ...args)
      await source.command('stop')
      await lab.wait('b', ...args)
      assert.equal(await lab.moveAndRelease('a', 'b', 'paused'), 'paused')
      const last = await lab.wait('c', ...args)
      assert.equal(await lab.moveAndRelease('b', 'c', 'paused'), 'paused')
      await last.command('cont')
      assert.equal(await lab.guest('c').state(), 'running')
      await qemuIo(last, 'write -P 7 0 64k')
      await qemuIo(last, 'read -P 7 0 64k')
    })
  }

  it('take a paused guest\'s disk over while the operator\'s own NBD server runs', async () => {
    const args = disk('disk')
    const source = await lab.boot('a', ...args)
    await source.command('stop')
    const next = await lab.wait('b', ...args)
    const move = await lab.move('a', 'b')
    await next.command('nbd-server-start', { addr: { type: 'unix', data: { path: join(lab.directory, 'nbd') } } })
    assert.equal(await move.incoming.release('paused'), 'paused')
    await close(move)
    assert.deepEqual(await next.command('query-block-exports'), [])
    await lab.wait('c', ...args)
    assert.equal(await lab.moveAndRelease('b', 'c', 'paused'), 'paused')
  })

  async function makeQcow2(path: string): Promise<void> {
    const maker = await lab.boot('maker', '-S')
    writeFileSync(path, '')
    await maker.command('blockdev-add', { driver: 'file', filename: path, 'node-name': 'file0' })
    const options = { driver: 'qcow2', file: 'file0', size: 8 * MEBIBYTE }
    await maker.command('blockdev-create', { 'job-id': 'job0', options })
    await until(async () => {
      const [job] = await maker.command('query-jobs') as { status: string; error?: string }[]
      assert.equal(job?.error, undefined)
      return job?.status === 'concluded'
    })
    await maker.kill()
  }

  async function qemuIo(qemu: Qemu, what: string): Promise<void> {
    await qemu.command('human-monitor-command', { 'command-line': `qemu-io d0 "${what}"` })
  }

  it('report QEMU\'s own error when another process holds a disk, and leave the copy unchanged', async () => {
    const args = disk('disk')
    await lab.boot('a', ...args)
    await lab.wait('b', ...args)
    const move = await lab.move('a', 'b')
    const holder = await lab.boot('x', '-name', 'other', ...args)
    for (const runState of ['running', 'paused'] as const) {
      await assert.rejects(move.incoming.release(runState), (error) =>
        hasCode(error, 'guest-cannot-run') &&
        (runState === 'paused' || /Failed to get "write" lock/.test(error.message)))
      assert.equal(await move.incoming.state(), 'paused')
    }
    await assert.rejects(move.outgoing.takeBack('running'), (error) => hasCode(error, 'guest-cannot-run'))
    await holder.kill()
    assert.equal(await move.outgoing.takeBack('running'), 'running')
    await move.incoming.end()
    await move.incoming.gone
    await close(move)
    await lab.wait('c', ...args)
    assert.equal(await lab.moveAndRelease('a', 'c', 'running'), 'running')
  })

  it('give a paused guest back to its source, from where it can move again', async () => {
    const args = disk('disk')
    const source = await lab.boot('a', ...args)
    await source.command('stop')
    await lab.wait('b', ...args)
    const move = await lab.move('a', 'b')
    await move.incoming.end()
    assert.equal(await move.outgoing.takeBack('paused'), 'paused')
    await close(move)
    await lab.wait('c', ...args)
    assert.equal(await lab.moveAndRelease('a', 'c', 'paused'), 'paused')
  })

  it('move a paused guest again after its migration was cancelled at the last moment', async () => {
    const args = disk('disk')
    const source = await lab.boot('a', ...args)
    await source.command('stop')
    await lab.wait('b', ...args)
    const move = await lab.prepare('a', 'b')
    await move.incoming.begin(move.path)
    // With pause-before-switchover: otherwise the moment would be too short to meet.
    await source.command('migrate', { uri: `unix:${move.path}` })
    await until(() => move.statuses.includes('pre-switchover'))
    await move.outgoing.cancel()
    await until(() => move.statuses.includes('cancelled'))
    // QEMU before 9.0 has forgotten that it was paused.
    assert.ok(['postmigrate', 'paused'].includes(await move.outgoing.state()))
    await close(move)
    await lab.wait('c', ...args)
    assert.equal(await lab.moveAndRelease('a', 'c', 'paused'), 'paused')
  })

  it('restore a source whose migration was cancelled in the middle', async () => {
    const source = await lab.boot('a')
    await lab.wait('b')
    const before = await settingsOf(source)
    const move = await lab.prepare('a', 'b')
    await source.command('migrate-set-parameters', { 'max-bandwidth': 100_000 })
    await move.incoming.begin(move.path)
    await move.outgoing.begin(move.path)
    await until(() => move.statuses.includes('active'))
    await move.outgoing.cancel()
    assert.equal(await move.outgoing.close(), undefined)
    assert.deepEqual(await settingsOf(source), before)
    assert.equal(await lab.guest('a').state(), 'running')
  })

  it('restore a waiting guest that received nothing', async () => {
    const source = await lab.boot('a')
    const target = await lab.wait('b')
    const before = await settingsOf(target)
    const incoming = await lab.incoming('b')
    await incoming.prepare({ mode: 'postcopy' })
    await assert.rejects(incoming.release('running'), (error) => hasCode(error, 'guest-not-loaded'))
    assert.equal(await incoming.close(), undefined)
    assert.deepEqual(await settingsOf(target), before)
    const path = join(lab.directory, 'stream')
    await target.command('migrate-incoming', { uri: `unix:${path}` })
    await source.command('migrate', { uri: `unix:${path}` })
    await until(async () => await lab.guest('b').state() === 'running')
  })

  it('report completion before the end of a QEMU that ends right after', async () => {
    for (const how of ['quit', 'SIGKILL'] as const) {
      const source = await lab.boot('a')
      await lab.wait('b')
      const move = await lab.prepare('a', 'b')
      const order: string[] = []
      move.outgoing.follow(({ status }: MigrationNews) => {
        order.push(status)
        if (status === 'completed') process.kill(source.pid, how === 'quit' ? 'SIGTERM' : 'SIGKILL')
      })
      void move.outgoing.gone.then(() => order.push('gone'))
      await move.incoming.begin(move.path)
      await move.outgoing.begin(move.path)
      await until(() => order.includes('gone'))
      assert.deepEqual(order.slice(-2), ['completed', 'gone'])
      assert.equal(await move.incoming.release('running'), 'running')
      await close(move)
      await lab.close()
      lab = new GuestLab()
    }
  })

  it('restore settings that a dead agent had changed', async () => {
    const target = await lab.wait('b')
    const source = await lab.boot('a')
    const before = await settingsOf(target)
    for (const place of ['a', 'b'] as const) {
      let undo: SettingsUndo | undefined
      const onChange = async (change: SettingsUndo): Promise<void> => {
        undo = JSON.parse(JSON.stringify(change)) as SettingsUndo
      }
      const open = (left?: SettingsUndo) => place === 'a' ? lab.outgoing(place, left) : lab.incoming(place, left)
      const dead = await open()
      await dead.prepare({ mode: 'precopy', onChange })
      await lab.forget(place)
      const next = await open(undo)
      if (place === 'b') await next.prepare({ mode: 'precopy' })
      assert.equal(await next.close(), undefined)
    }
    assert.deepEqual(await settingsOf(source), before)
    assert.deepEqual(await settingsOf(target), before)
    const path = join(lab.directory, 'stream')
    await target.command('migrate-incoming', { uri: `unix:${path}` })
    await source.command('migrate', { uri: `unix:${path}` })
    await until(async () => await lab.guest('b').state() === 'running')
  })

  /** A post-copy that is interrupted, after the destination resumed its guest or before. */
  async function breakPostcopy(runs: boolean) {
    // Enough memory that most of it is left for post-copy, and for after the break.
    const content = join(lab.directory, 'content')
    writeFileSync(content, randomBytes(24 * MEBIBYTE))
    const filled = ['-device', `loader,file=${content},addr=0x2000000,force-raw=on`]
    const source = await lab.boot('a', ...filled)
    const target = await lab.wait('b', ...filled)
    const before = await settingsOf(source)
    const outgoing = await lab.outgoing('a')
    const incoming = await lab.incoming('b')
    const undos: SettingsUndo[] = []
    const news = { source: [] as string[], destination: [] as string[] }
    outgoing.follow(({ status }) => news.source.push(status))
    incoming.follow(({ status }) => news.destination.push(status))
    await incoming.prepare({ mode: 'postcopy', onChange: async (undo) => { undos[1] = undo } })
    await outgoing.prepare({ mode: 'postcopy', onChange: async (undo) => { undos[0] = undo } })
    await source.command('migrate-set-parameters', { 'max-bandwidth': 2e6, 'max-postcopy-bandwidth': 1e6 })
    const [there, here] = [join(lab.directory, 'there'), join(lab.directory, 'here')]
    await incoming.begin(there)
    const relay = await Relay.listen(here, there)
    await outgoing.begin(here)
    await until(() => news.source.includes('active'))
    await outgoing.startPostcopy()
    await until(() => news.destination.includes('postcopy-active'))
    // Before this state, QEMU 7.2 ends at a break instead of waiting for recovery.
    await until(async () => await incoming.state() === 'paused')
    if (runs) await incoming.release('running')
    relay.cut()
    await until(() => news.source.includes('postcopy-paused') && news.destination.includes('postcopy-paused'))
    await source.command('migrate-set-parameters', { 'max-postcopy-bandwidth': 0 })
    return { source, target, before, outgoing, incoming, undos, news, path: join(lab.directory, 'again') }
  }

  it('complete a post-copy that broke while its guest ran', async () => {
    const { source, target, before, outgoing, incoming, news, path } = await breakPostcopy(true)
    await incoming.recover(path)
    await outgoing.resume(path)
    await until(() => news.source.includes('completed') && news.destination.includes('completed'))
    assert.deepEqual(afterBreak(news.source), ['postcopy-recover', 'postcopy-active', 'completed'])
    assert.equal(await incoming.state(), 'running')
    await close({ outgoing, incoming })
    assert.deepEqual(await settingsOf(source), before)
    assert.deepEqual(await settingsOf(target), before)
  })

  it('complete a broken post-copy for agents that were restarted', async () => {
    const { source, target, before, outgoing, incoming, undos, path } = await breakPostcopy(false)
    assert.deepEqual(await outgoing.close(), undos[0])
    assert.deepEqual(await incoming.close(), undos[1])
    const resumed = await lab.outgoing('a', undos[0])
    const recovered = await lab.incoming('b', undos[1])
    const news: string[] = []
    resumed.follow(({ status }) => news.push(status))
    await recovered.recover(path)
    await resumed.resume(path)
    await until(() => news.includes('completed'))
    assert.deepEqual(afterBreak(news), ['postcopy-recover', 'postcopy-active', 'completed'])
    await until(async () => (await recovered.progress()).status === 'completed')
    assert.equal(await recovered.release('running'), 'running')
    await close({ outgoing: resumed, incoming: recovered })
    assert.deepEqual(await settingsOf(source), before)
    assert.deepEqual(await settingsOf(target), before)
  })
})

/** The statuses after the break; QEMU 9.1 and later have one more. */
function afterBreak(statuses: readonly string[]): string[] {
  return statuses.slice(statuses.lastIndexOf('postcopy-paused') + 1)
    .filter((status) => status !== 'postcopy-recover-setup')
}
