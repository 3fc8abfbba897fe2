import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { renderCluster } from '../../../src/cli/clustertext.ts'
import { OPTIONS } from '../../../src/index.ts'
import { PAGES, progressOf, resultOf, STATUS } from '../../support/fakeagent.ts'
import { fakeCluster } from '../../support/fakecluster.ts'
import { COMMAND_MS_MAX, pagemesh, RunningCommand } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const MOVE = { guest: 'web-1', to: 'host-b', mode: 'precopy' } as const

describe('commands that talk to an agent', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  const migrate = (...flags: string[]): RunningCommand =>
    new RunningCommand(['migrate', 'web-1', '--to', 'host-b', '--control', served.path, ...flags])

  it('status --json prints the snapshot exactly', async () => {
    const { status, stdout, stderr } = await pagemesh('status', '--json', '--control', served.path)
    assert.equal(stderr, '')
    assert.equal(status, 0)
    assert.equal(stdout, `${JSON.stringify(STATUS)}\n`)
  })

  it('status --cluster prints all hosts, as one object or for people', async () => {
    served.agent.view = fakeCluster()
    const { status, stdout } = await pagemesh('status', '--cluster', '--json', '--control', served.path)
    assert.equal(status, 0)
    assert.deepEqual(JSON.parse(stdout), served.agent.view)
    const shown = await pagemesh('status', '--cluster', '--control', served.path)
    assert.equal(shown.stdout, `${renderCluster(served.agent.view)}\n`)
  })

  it('status prints a view for people', async () => {
    const { status, stdout } = await pagemesh('status', '--control', served.path)
    assert.equal(status, 0)
    assert.match(stdout, /^host-a  Pagemesh 9\.9\.9  settled\n/)
    assert.match(stdout, /web<1>  running  qmp  pid 4711  512\.0 MB  1000 pages resident  900 distinct/)
  })

  it('pages --json prints one object with as many pages as are asked for', async () => {
    const { status, stdout, stderr } = await pagemesh('pages', '--json', '--control', served.path)
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal(stdout, `${JSON.stringify({ pages: PAGES })}\n`)
    const one = await pagemesh('pages', '--top', '1', '--json', '--control', served.path)
    assert.deepEqual(JSON.parse(one.stdout), { pages: PAGES.slice(0, 1) })
  })

  it('pages --json prints the longest list whole, also into a pipe', async () => {
    served.agent.popularPages = Array.from({ length: 100_000 }, () => PAGES[0]!)
    const { status, stdout } = await pagemesh('pages', '--top', '100000', '--json', '--control', served.path)
    assert.equal(status, 0)
    assert.equal(stdout, `${JSON.stringify({ pages: served.agent.popularPages })}\n`)
  })

  it('pages prints a table for people', async () => {
    const { status, stdout } = await pagemesh('pages', '--control', served.path)
    assert.equal(status, 0)
    assert.equal(stdout, [
      'PAGE              HOSTS  GUESTS  HERE  HOLDERS',
      '00000000ffffffff  5      40      yes   host-a host-b host-c and 2 more',
      '0123456789abcdef  2      2       no    not known by name\n',
    ].join('\n'))
  })

  it('pages says why there are none', async () => {
    served.agent.popularPages = []
    const { status, stdout } = await pagemesh('pages', '--control', served.path)
    assert.equal(status, 0)
    assert.match(stdout, /^No page is known to be popular yet: .* too few hosts hold the same ones/)
    const { stdout: json } = await pagemesh('pages', '--json', '--control', served.path)
    assert.equal(json, '{"pages":[]}\n')
  })

  it('migrate hands all its flags on, in plain units', async () => {
    served.agent.onMigrate = ({ request, outcome }) => outcome.resolve(resultOf(request, 'completed'))
    const flags = [
      '--mode', 'postcopy', '--max-bandwidth', '500Mbit', '--max-downtime', '200', '--channels', '1',
      '--timeout', '1.5',
    ]
    assert.equal((await migrate(...flags).finished).status, 0)
    const { signal, ...request } = served.agent.handoffs[0]!.request
    assert.ok(signal instanceof AbortSignal)
    assert.deepEqual(request, {
      guest: 'web-1', to: 'host-b', mode: 'postcopy', maxBandwidth: 62_500_000, maxDowntimeMs: 200, channels: 1,
      timeoutMs: 1500,
    })
  })

  it('migrate shows plain progress where there is no terminal, then a summary', async () => {
    const command = migrate()
    await command.saysOnStderr(/^web-1 -> host-b  41 %  precopy  800 Mbit\/s  sent 32\.0 MB, .* remaining\n/)
    served.agent.handoffs[0]!.outcome.resolve(resultOf(MOVE, 'completed'))
    const { status, stdout, stderr } = await command.finished
    assert.equal(status, 0)
    // As many channels as QEMU is set to: nobody asked for others.
    assert.ok(!('channels' in served.agent.handoffs[0]!.request))
    assert.doesNotMatch(stderr, /[\r\u001B]/)
    assert.match(stderr, /saved 88 % of 256\.0 MB, 9\.0 MB remaining/)
    assert.match(stdout, /^web-1 moved from host-a to host-b \(precopy\) in 2\.10 s, down for 80 ms\./)
    assert.match(stdout, /32\.0 MB for QEMU's 256\.0 MB: 87\.5 % saved/)
    assert.match(stdout, /100: 40 zero, 50 as references, 10 sent whole/)
    assert.match(stdout, /pages sent before 5, resident 45, store 0, peers 0, source 0/)
  })

  it('migrate --json prints the result and nothing else', async () => {
    served.agent.onMigrate = ({ request, outcome }) => outcome.resolve(resultOf(request, 'completed'))
    const { status, stdout } = await migrate('--json').finished
    assert.equal(status, 0)
    assert.equal(stdout, `${JSON.stringify(resultOf(MOVE, 'completed'))}\n`)
  })

  it('migrate --dry-run says what the destination has', async () => {
    const human = await migrate('--dry-run').finished
    assert.equal(human.status, 0)
    assert.match(human.stdout, /nothing was moved\.\n  host-b has 90 of its 200 distinct pages \(45\.0 %\)/)
    const { stdout } = await migrate('--dry-run', '--json').finished
    assert.deepEqual(JSON.parse(stdout), await served.agent.estimate(MOVE))
    assert.equal(served.agent.handoffs.length, 0)
  })

  it('migrate that failed exits 1 and says why', async () => {
    const failed = resultOf(MOVE, 'failed', 'The host host-b does not answer. Check its agent.')
    served.agent.onMigrate = ({ outcome }) => outcome.resolve(failed)
    const { status, stdout, stderr } = await migrate('--json').finished
    assert.equal(status, 1)
    assert.deepEqual(JSON.parse(stdout), failed)
    assert.ok(stderr.endsWith(`pagemesh: The handoff of web-1 to host-b failed: ${failed.reason}\n`), stderr)
  })

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`migrate cancels on ${signal}, waits for the result and exits 130`, async () => {
      const command = migrate('--json')
      await command.saysOnStderr(/precopy/)
      command.process.kill(signal)
      const { status, stdout, stderr } = await command.finished
      assert.equal(status, 130)
      assert.deepEqual(JSON.parse(stdout), resultOf(MOVE, 'cancelled', 'Cancelled.'))
      assert.match(stderr, /Asked to cancel; QEMU decides.*\n.*was cancelled: Cancelled\.\n/s)
    })
  }

  it('migrate reports what completed though a cancel came too late', async () => {
    served.agent.isCancellable = false
    const command = migrate()
    await command.saysOnStderr(/precopy/)
    const { request, outcome } = served.agent.handoffs[0]!
    command.process.kill('SIGINT')
    await once(request.signal!, 'abort')
    outcome.resolve(resultOf(MOVE, 'completed'))
    const { status, stdout } = await command.finished
    assert.equal(status, 0)
    assert.match(stdout, /moved from host-a to host-b/)
  })

  it('migrate cancelled by another command exits 130 too', async () => {
    const command = migrate()
    await command.saysOnStderr(/precopy/)
    const cancelled = await pagemesh('cancel', 'web-1', '--control', served.path)
    assert.deepEqual(cancelled, { status: 0, stdout: 'Cancelled: web-1 goes on here.\n', stderr: '' })
    assert.equal((await command.finished).status, 130)
  })

  it('cancel that comes too late exits 1 and says what became of the guest', async () => {
    for (const [became, reason] of [['completed', undefined], ['failed', 'host-b does not answer.']] as const) {
      const command = migrate()
      await command.saysOnStderr(/precopy/)
      const { outcome } = served.agent.handoffs.at(-1)!
      const result = resultOf(MOVE, became, reason)
      served.agent.cancel = async () => {
        outcome.resolve(result)
        return { status: became === 'completed' ? 'too-late' : became, result }
      }
      const { status, stdout, stderr } = await pagemesh('cancel', 'web-1', '--control', served.path)
      assert.deepEqual([status, stdout], [1, ''])
      const said = became === 'completed' ? /^pagemesh: Too late: web-1 has moved to host-b\./
        : /^pagemesh: Not cancelled: the handoff of web-1 to host-b failed\./
      assert.match(stderr, said)
      if (reason !== undefined) assert.ok(stderr.endsWith(` ${reason}\n`), stderr)
      await command.finished
    }
  })

  it('cancel --json that comes too late prints what became of the guest, and exits 1', async () => {
    const command = migrate()
    await command.saysOnStderr(/precopy/)
    const result = resultOf(MOVE, 'completed')
    served.agent.cancel = async () => {
      served.agent.handoffs[0]!.outcome.resolve(result)
      return { status: 'too-late', result }
    }
    const { status, stdout } = await pagemesh('cancel', 'web-1', '--json', '--control', served.path)
    assert.deepEqual([status, JSON.parse(stdout)], [1, { guest: 'web-1', status: 'too-late', result }])
    assert.equal((await command.finished).status, 0)
  })

  it('cancel of what does not run exits 1 and says so', async () => {
    const { status, stdout, stderr } = await pagemesh('cancel', 'nobody', '--json', '--control', served.path)
    assert.equal(status, 1)
    assert.deepEqual(JSON.parse(stdout), {
      error: { code: 'no-handoff', message: 'No handoff of nobody runs.', advice: 'Look at status.' },
    })
    assert.equal(stderr, 'pagemesh: No handoff of nobody runs. Look at status.\n')
  })
})

describe('commands whose agent is not there', function () {
  this.timeout(COMMAND_MS_MAX)
  let folder: string
  let path: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'commands-'))
    path = join(folder, 'control.sock')
  })

  afterEach(() => rm(folder, { recursive: true }))

  for (const args of [['status'], ['pages'], ['cancel', 'web-1'], ['migrate', 'web-1', '--to', 'host-b']]) {
    it(`${args[0]} exits 1 and advises to start it`, async () => {
      const { status, stdout, stderr } = await pagemesh(...args, '--control', path)
      assert.equal(status, 1)
      assert.equal(stdout, '')
      assert.match(stderr, /^pagemesh: No agent answers at .*control\.sock \(ENOENT\)\. Start it with `systemctl /)
    })
  }

  it('migrate --json is still one object', async () => {
    const { stdout } = await pagemesh('migrate', 'web-1', '--to', 'host-b', '--json', '--control', path)
    const { reason, ...object } = JSON.parse(stdout) as { reason: string }
    assert.deepEqual(object, { ...MOVE, status: 'failed', code: 'no-agent' })
    assert.match(reason, /No agent answers/)
  })

  it('migrate tells that the agent died on the way, with what is known', async () => {
    const progress = `${JSON.stringify({ progress: progressOf(MOVE) })}\n`
    const dying = createServer((socket) => {
      socket.once('data', () => socket.write(progress, () => socket.destroy()))
    })
    await new Promise<void>((resolve) => dying.listen(path, resolve))
    try {
      const args = ['migrate', 'web-1', '--to', 'host-b', '--json', '--control', path]
      const { status, stdout, stderr } = await pagemesh(...args)
      assert.equal(status, 1)
      assert.match(stderr, /pagemesh: The agent on this host ended during the handoff of web-1 to host-b\./)
      const { reason, ...object } = JSON.parse(stdout) as { reason: string }
      assert.match(reason, /^The agent on this host ended during the handoff/)
      assert.deepEqual(object, {
        ...MOVE, status: 'failed', code: 'agent-ended',
        from: 'host-a', totalMs: 1500, qemuBytes: 256e6, wireBytes: 32e6,
      })
    } finally {
      dying.close()
    }
  })

  it('look for it where an agent listens by default', async () => {
    const { stdout } = await pagemesh('status', '--help')
    assert.ok(stdout.replace(/\s+/g, '').includes(`default:"${OPTIONS.find(({ key }) => key === 'control')?.default}"`))
  })
})
