import { strict as assert } from 'node:assert'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { ProcessDiscovery } from '../../../src/guest/processdiscovery.ts'
import { scanQemus } from '../../../src/guest/qemuscan.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { until } from '../../support/qemuprocess.ts'

/** Programs that are no QEMU, and say that they are; the machine may have QEMUs of others beside them. */
describe('discovery of guests by process, where programs play QEMU', () => {
  let directory: string
  let discovery: ProcessDiscovery
  let said: { message: string; pid: unknown }[]
  const pids: number[] = []
  const players: ChildProcess[] = []

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'pm-player-'))
    said = []
    const say: Log['warn'] = (message, fields) => { said.push({ message, pid: fields?.['pid'] }) }
    const log: Log = { ...silentLog, warn: say, error: say }
    discovery = new ProcessDiscovery({ clock: systemClock, log, others: () => [] }, { managed: 'libvirt' })
  })

  afterEach(async () => {
    await discovery.stop()
    pids.length = 0
    await Promise.all(players.splice(0).map(async (player) => {
      player.kill('SIGKILL')
      await once(player, 'close')
    }))
    rmSync(directory, { recursive: true })
  })

  /** A shell under another name that waits for its input, with words of ours. */
  function play(program: string, ...words: string[]): Promise<number> {
    return playWith(program, 'echo; read line', ...words)
  }

  async function playWith(program: string, script: string, ...words: string[]): Promise<number> {
    const path = join(directory, program)
    copyFileSync(realpathSync('/bin/sh'), path)
    const child = spawn(path, ['-c', script, ...words], { stdio: ['pipe', 'pipe', 'ignore'] })
    players.push(child)
    await once(child.stdout, 'data')
    pids.push(child.pid!)
    return child.pid!
  }

  /** What the discovery has of the programs of this test. */
  const own = {
    guests: () => discovery.guests().filter(({ pid }) => pids.includes(pid)),
    unusable: () => discovery.unusable().filter(({ path }) => pids.some((pid) => path === `/proc/${pid}`)),
    said: () => said.filter(({ pid }) => pids.includes(pid as number)).map(({ message }) => message),
  }

  const LIBVIRT = ['-name', 'guest=web', '-m', '64', '-chardev', 'socket,id=charmonitor,fd=3']

  it('takes none that has no memory of a guest, and says so once, when it is certain', async () => {
    const pid = await play('qemu-system-x86_64', ...LIBVIRT)
    await discovery.start()
    assert.deepEqual([own.guests(), own.unusable(), own.said()], [[], [], []])
    await discovery.refresh()
    await discovery.refresh()
    assert.deepEqual(own.guests(), [])
    assert.deepEqual(own.unusable().map(({ path, code }) => [path, code]), [[`/proc/${pid}`, 'guest-unproven']])
    assert.deepEqual(own.said(), ['a QEMU cannot be used'])
    await Promise.all(players.splice(0).map(async (player) => {
      player.stdin!.end()
      await once(player, 'close')
    }))
    await discovery.refresh()
    assert.deepEqual(own.unusable(), [])
  })

  it('finds a process that was no QEMU and becomes one: its number and its start stay the same', async () => {
    const becomes = join(directory, 'qemu-system-x86_64')
    copyFileSync(realpathSync('/bin/sh'), becomes)
    const words = LIBVIRT.map((word) => `'${word}'`).join(' ')
    const pid = await playWith('sh', `echo; read line; exec ${becomes} -c 'echo; read line' ${words}`)
    assert.ok(!(await scanQemus('libvirt')).qemus.some((qemu) => qemu.pid === pid))
    const [player] = players
    player!.stdin!.write('\n')
    await once(player!.stdout!, 'data')
    assert.ok((await scanQemus('libvirt')).qemus.some((qemu) => qemu.pid === pid))
  })

  it('does not look twice at what another program is, or another manager\'s', async () => {
    await play('bash', ...LIBVIRT)
    await play('qemu-system-x86_64', '-name', 'guest=web', '-m', '64')
    const { qemus, hidden, seesOthers } = await scanQemus('libvirt')
    assert.ok(!qemus.some(({ pid }) => pids.includes(pid)))
    assert.ok(!hidden.some(({ pid }) => pids.includes(pid)))
    assert.ok(seesOthers)
    const { qemus: all } = await scanQemus('any')
    const ours = all.filter(({ pid }) => pids.includes(pid))
    assert.deepEqual(ours.map(({ pid, said: { name } }) => [pid, name]), [[pids[1], 'web']])
  })

  it('says once that it may not look at QEMUs', async function () {
    if (process.getuid?.() !== 0) this.skip()
    await play('qemu-system-x86_64', ...LIBVIRT)
    await play('qemu-kvm', ...LIBVIRT)
    process.seteuid!(65_534)
    try {
      await discovery.start()
      await discovery.refresh()
      await discovery.refresh()
    } finally {
      process.seteuid!(0)
    }
    assert.deepEqual(own.unusable().map(({ code }) => code), ['guest-forbidden', 'guest-forbidden'])
    assert.match(own.unusable()[0]!.reason, /CAP_SYS_PTRACE/)
    assert.deepEqual(said.map(({ message }) => message), ['guests of managers cannot be seen'])
    await until(async () => {
      await discovery.refresh()
      return own.unusable().every(({ code }) => code === 'guest-unproven')
    })
  })
})
