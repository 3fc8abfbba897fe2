import { strict as assert } from 'node:assert'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

import { connectQmp, discoverGuests, type DiscoveredGuest, type GuestDiscovery } from '../../src/guest/index.ts'
import { unixSocketsOf } from '../../src/guest/unixsockets.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog, type Log } from '../../src/runtime/log.ts'
import { skipWithoutQemu, startQemu, until, type Qemu } from '../support/qemuprocess.ts'

const clock = systemClock
const QEMU = 'qemu-system-x86_64'
const BARE = ['-machine', 'q35', '-m', '64', '-S', '-nodefaults', '-display', 'none']

describe('guests of a real QEMU at odd sockets', function () {
  this.timeout(60_000)
  let directory: string
  let discovery: GuestDiscovery
  let warnings: string[]
  let events: string[]
  const running: { kill(): unknown }[] = []

  before(skipWithoutQemu)

  beforeEach(() => {
    directory = mkdtempSync('/tmp/odd-test-')
    warnings = []
    events = []
    const log: Log = {
      ...silentLog, warn: (message, fields) => warnings.push(`${message}: ${String(fields?.['code'])}`),
    }
    discovery = discoverGuests({ clock, log }, { globs: [`${directory}/*.qmp`, `${directory}/*/*.qmp`] })
    discovery.onChange((change, guest) => events.push(`${change} ${guest.name}`))
  })

  afterEach(async () => {
    await discovery.stop()
    for (const qemu of running.splice(0)) await qemu.kill()
    rmSync(directory, { recursive: true, force: true })
  })

  async function boot(name: string, ...args: string[]): Promise<Qemu> {
    const qemu = await startQemu(directory, name, ['-machine', 'q35', '-m', '64', '-S', '-name', name, ...args])
    running.push(qemu)
    return qemu
  }

  /** Starts a QEMU as an operator does, in a directory of its own, and waits until `socket` is there. */
  async function bootIn(folder: string, socket: string, ...args: string[]): Promise<void> {
    const child = spawn(QEMU, [...BARE, ...args], { cwd: folder, stdio: 'ignore' })
    running.push({ kill: () => child.kill('SIGKILL') })
    await until(() => existsSync(join(folder, socket)))
  }

  /** As `bootIn`, with `-daemonize`. */
  function daemonize(folder: string, ...args: string[]): number {
    const pidFile = join(folder, 'pid')
    const { status, stderr } = spawnSync(QEMU, [...BARE, '-daemonize', '-pidfile', pidFile, ...args], {
      cwd: folder, encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    const pid = Number(readFileSync(pidFile, 'utf8'))
    running.push({ kill: () => process.kill(pid, 'SIGKILL') })
    return pid
  }

  function folderOf(...names: string[]): string {
    const folder = join(directory, ...names)
    mkdirSync(folder, { recursive: true })
    return folder
  }

  async function memoryOf(guest: DiscoveredGuest): Promise<number> {
    return guest.memory.blocks.find(({ name }) => name === 'pc.ram')!.bytes
  }

  it('are found beside links to themselves and other oddities, which are mentioned once', async () => {
    await boot('a')
    symlinkSync('loop.qmp', join(directory, 'loop.qmp'))
    symlinkSync('missing', join(directory, 'dangling.qmp'))
    symlinkSync('.', join(directory, 'self'))
    symlinkSync('round', join(directory, 'round'))
    mkdirSync(join(directory, 'folder.qmp'), { mode: 0 })
    spawnSync('mkfifo', [join(directory, 'pipe.qmp')])
    await discovery.start()
    await discovery.refresh()
    assert.deepEqual(discovery.guests().map(({ name }) => name), ['a'])
    assert.deepEqual(warnings, ['an entry among the QMP sockets is passed over: ELOOP'])
  })

  it('are found with -daemonize and a relative path, each in its directory', async () => {
    const pids = ['one', 'two'].map((name) =>
      daemonize(folderOf(name), '-name', name, '-qmp', 'unix:vm.qmp,server=on,wait=off'))
    await discovery.start()
    assert.deepEqual(discovery.guests().map(({ name, pid }) => [name, pid]), [['one', pids[0]], ['two', pids[1]]])
    assert.deepEqual(warnings, [])
    const outgoing = await discovery.guests()[0]!.openOutgoing!({ signal: AbortSignal.timeout(10_000), directory })
    await outgoing.close()
  })

  it('are found at a path longer than an address of a socket', async () => {
    const folder = folderOf('x'.repeat(150))
    await bootIn(folder, 'vm.qmp', '-name', 'far', '-qmp', 'unix:vm.qmp,server=on,wait=off')
    await discovery.start()
    await discovery.refresh()
    const [guest] = discovery.guests()
    assert.deepEqual([guest?.name, warnings], ['far', []])
    assert.equal(await memoryOf(guest!), 64 * 1024 * 1024)
    const outgoing = await guest!.openOutgoing!({ signal: AbortSignal.timeout(10_000), directory })
    await outgoing.close()
  })

  for (const args of [
    ['-qmp-pretty', 'unix:vm.qmp,server=on,wait=off'],
    ['-chardev', 'socket,id=c,path=vm.qmp,server=on,wait=off', '-mon', 'chardev=c,mode=control,pretty=on'],
  ]) {
    it(`are found where QEMU answers in many lines (${args[0]})`, async () => {
      await bootIn(directory, 'vm.qmp', '-name', 'pretty', ...args)
      await discovery.start()
      await discovery.refresh()
      assert.deepEqual([discovery.guests().map(({ name }) => name), warnings], [['pretty'], []])
      assert.equal(await discovery.guests()[0]!.state(), 'prelaunch')
    })
  }

  it('are one where a QEMU has two sockets, and the free one is used', async () => {
    const second = join(directory, 'second.qmp')
    await boot('a', '-qmp', `unix:${second},server=on,wait=off`)
    for (const held of [join(directory, 'a.qmp'), second]) {
      const operator = await connectQmp(held, { clock, log: silentLog })
      await discovery.start()
      await discovery.refresh()
      assert.deepEqual(discovery.guests().map(({ name }) => name), ['a'])
      const outgoing = await discovery.guests()[0]!.openOutgoing!({ signal: AbortSignal.timeout(20_000), directory })
      await outgoing.close()
      await operator.close()
    }
    assert.deepEqual([events, discovery.unusable()], [['added a'], []])
  })

  it('of the same name are refused but for the first', async () => {
    await boot('a')
    await bootIn(directory, 'b.qmp', '-name', 'a', '-qmp', 'unix:b.qmp,server=on,wait=off')
    await discovery.start()
    await discovery.refresh()
    assert.deepEqual([events, warnings], [['added a'], ['a QMP socket cannot be used: guest-name-taken']])
  })

  it('stay when the rights of their socket change', async () => {
    const { socket } = await boot('a')
    await discovery.start()
    chmodSync(socket, 0o660)
    await discovery.refresh()
    assert.deepEqual(events, ['added a'])
  })

  it('are waited for when they are slow, and another client is not blamed', async () => {
    const { pid, socket } = await boot('a')
    await discovery.start()
    process.kill(pid, 'SIGSTOP')
    const looking = discovery.refresh()
    await clock.sleep(2_000)
    process.kill(pid, 'SIGCONT')
    await looking
    assert.deepEqual([events, warnings], [['added a'], []])
    // QEMU has noticed that the last visit is over.
    await until(() => unixSocketsOf(pid).every(({ state, path }) => state !== 'connected' || path !== socket))
    process.kill(pid, 'SIGSTOP')
    await assert.rejects(connectQmp(socket, { clock, log: silentLog, timeoutMs: 100 }), {
      code: 'qmp-busy', message: `The QEMU at ${socket} does not answer, and no other client holds its socket.`,
    })
    process.kill(pid, 'SIGCONT')
  })
})
