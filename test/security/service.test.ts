import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'

import { AGENT_RIGHTS, parseCapabilities } from '../../src/host/rights.ts'
import type { AgentStatus, HandoffResult } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { unitSetting } from '../../testnet/agentuser.ts'
import {
  createLabKey, PAGEMESH, resultOf, runCli, startGuest, startProcess, stateOf, waitFor, type LabGuest, type LabHost,
} from '../../testnet/index.ts'
import { skipWithoutLab } from '../support/labmove.ts'
import { Services, UNIT } from './service.ts'

const NAMES = ['a', 'b'] as const
const ADDRESSES = { a: '127.78.0.1', b: '127.78.0.2' }
const SETUP_MS_MAX = 120_000
const MOVE_MS_MAX = 60_000
/** Most exposure in `systemd-analyze security`, times ten. */
const EXPOSURE_MAX = 35
const BITS = AGENT_RIGHTS.map(({ bit }) => bit).sort((a, b) => a - b)
/** A user that is in no password file. The kernel lets no other user fetch pages for a post-copy. */
const ANOTHER = {
  uid: 64_998,
  words: [
    'setpriv', '--reuid=64998', '--regid=64998', '--clear-groups',
    '--inh-caps=+sys_ptrace,+dac_read_search', '--ambient-caps=+sys_ptrace,+dac_read_search',
  ],
}

describe('the service of the agent', function () {
  this.timeout(SETUP_MS_MAX)

  it('has the rights that an agent needs, and leaves little open', function () {
    const names = AGENT_RIGHTS.map(({ name }) => name).join(' ')
    const unit = readFileSync(UNIT, 'utf8')
    assert.equal(unitSetting(unit, 'AmbientCapabilities'), names)
    assert.equal(unitSetting(unit, 'CapabilityBoundingSet'), names)
    const words = ['security', '--offline=true', '--no-pager', `--threshold=${EXPOSURE_MAX}`, UNIT]
    const { status, error, stdout, stderr } = spawnSync('systemd-analyze', words, { encoding: 'utf8' })
    if (error !== undefined) {
      console.log('      missing here: systemd-analyze (package systemd)')
      this.skip()
    }
    assert.equal(status, 0, stdout + stderr)
  })

  it('has no more rights than an agent keeps that root starts by hand', async function () {
    if (process.getuid?.() !== 0) this.skip()
    const directory = mkdtempSync('/tmp/svc-')
    const config = join(directory, 'agent.yaml')
    const control = join(directory, 'c.sock')
    writeFileSync(config, stringify({
      name: 'a', clusterKey: await createLabKey(directory), listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [],
      guests: [], control, store: { path: join(directory, 'state') },
    }))
    const agent = startProcess([], [...PAGEMESH, 'agent', '--config', config])
    try {
      await waitFor(async () => {
        assert.ok(agent.running, agent.errors)
        return existsSync(control) ? true : undefined
      }, { clock: systemClock, what: 'the agent', timeoutMs: MOVE_MS_MAX, pauseMs: 50 })
      const status = readFileSync(`/proc/${agent.pid}/status`, 'utf8')
      for (const line of ['CapPrm', 'CapEff', 'CapBnd']) assert.deepEqual(parseCapabilities(status, line), BITS, line)
      assert.match(status, /^NoNewPrivs:\s+1$/m)
      const limits = readFileSync(`/proc/${agent.pid}/limits`, 'utf8')
      assert.match(limits, /^Max core file size\s+0\s+0\s/m)
    } finally {
      await agent.kill()
      rmSync(directory, { recursive: true })
    }
  })

  describe('under systemd', () => {
    let directory: string
    let services: Services
    let guests: LabGuest[]

    before(async function () {
      await skipWithoutLab.call(this)
      directory = mkdtempSync('/tmp/svc-')
      chmodSync(directory, 0o711)
      const clusterKey = await createLabKey(directory)
      services = new Services(directory, NAMES)
      for (const name of NAMES) {
        const other = name === 'a' ? ADDRESSES.b : ADDRESSES.a
        writeFileSync(services.configOf(name), stringify({
          name, clusterKey, listen: [`/ip4/${ADDRESSES[name]}/tcp/4001`], bootstrap: [`/ip4/${other}/tcp/4001`],
          guests: [join(directory, name, '*.qmp')], control: services.controlOf(name),
          store: { path: `/var/lib/pagemesh-${name}` },
        }))
      }
      await services.start()
    })

    beforeEach(() => {
      guests = []
      for (const name of NAMES) mkdirSync(join(directory, name))
    })

    afterEach(async function () {
      if (this.currentTest?.state === 'failed') console.log(NAMES.map((name) => services.logOf(name)).join('\n'))
      await Promise.all(guests.map((guest) => guest.stop()))
      for (const name of NAMES) rmSync(join(directory, name), { recursive: true })
    })

    after(async () => {
      await (services as Services | undefined)?.stop()
      if ((directory as string | undefined) !== undefined) rmSync(directory, { recursive: true })
    })

    it('runs the agent as its user, with its rights alone', () => {
      const uid = spawnSync('id', ['-u', unitSetting(readFileSync(UNIT, 'utf8'), 'User')], { encoding: 'utf8' }).stdout
      for (const name of NAMES) {
        const status = readFileSync(`/proc/${services.pidOf(name)}/status`, 'utf8')
        assert.match(status, new RegExp(`^Uid:\\s+${uid.trim()}\\s`, 'm'))
        for (const line of ['CapPrm', 'CapBnd', 'CapAmb']) assert.deepEqual(parseCapabilities(status, line), BITS, line)
        assert.match(status, /^NoNewPrivs:\s+1$/m)
        assert.match(status, /^Seccomp:\s+2$/m)
      }
    })

    it('gives a tunnel\'s socket to a group of its user', async () => {
      const path = '/run/pagemesh-a/tunnel/web'
      const status = readFileSync(`/proc/${services.pidOf('a')}/status`, 'utf8')
      const gid = /^Gid:\s+(\d+)/m.exec(status)![1]!
      const host = hostOf('a')
      await untilKnown('a')
      const asked = ['--to', 'b', '--path', path, '--group', gid, '--mode', '0660']
      const tunnel = startProcess(host.exec, [...PAGEMESH, 'tunnel', '--control', services.controlOf('a'), ...asked])
      try {
        const look = await waitFor(async () => {
          assert.ok(tunnel.running, tunnel.errors)
          const [program, ...words] = [...host.exec, 'stat', '-c', '%g %a', path]
          const { status: code, stdout } = spawnSync(program, words)
          return code === 0 ? String(stdout).trim() : undefined
        }, { clock: systemClock, what: 'the tunnel', timeoutMs: MOVE_MS_MAX })
        assert.equal(look, `${gid} 660`)
      } finally {
        await tunnel.terminate()
      }
    })

    for (const whose of ['root', 'another user'] as const) {
      for (const mode of ['precopy', 'postcopy'] as const) {
        it(`moves a guest of ${whose} in ${mode}`, async function () {
          this.timeout(2 * MOVE_MS_MAX)
          const uid = whose === 'root' ? 0 : ANOTHER.uid
          for (const name of NAMES) chownSync(join(directory, name), uid, uid)
          guests.push(await start('a', whose), await start('b', whose, true))
          await untilKnown('a', 'running')
          await untilKnown('b', 'inmigrate')
          const { result, errors } = await migrate(mode)
          assert.equal(result?.status, 'completed', errors)
          assert.equal(result?.mode, mode)
          assert.equal(await stateOf(guests[1]!), 'running')
        })
      }
    }

    function hostOf(name: 'a' | 'b', words: readonly string[] = []): LabHost {
      return services.host(name, ADDRESSES[name], words)
    }

    function start(name: 'a' | 'b', whose: 'root' | 'another user', incoming = false): Promise<LabGuest> {
      return startGuest({
        name: 'web', work: 'idle', system: 'busybox', memoryMiB: 96, directory: join(directory, name), incoming,
        host: hostOf(name, whose === 'root' ? [] : ANOTHER.words),
      })
    }

    /** The agent sees the other one, and its guest in this state; no guest by default. */
    async function untilKnown(name: 'a' | 'b', state?: string): Promise<void> {
      await waitFor(async () => {
        const words = ['status', '--json', '--control', services.controlOf(name)]
        const { output } = await runCli(hostOf(name), words)
        const status = JSON.parse(output || '{}') as Partial<AgentStatus>
        return status.peers?.length === 1 && status.guests?.[0]?.state === state ? true : undefined
      }, { clock: systemClock, what: `the agent of ${name} to be ready`, timeoutMs: MOVE_MS_MAX, pauseMs: 200 })
    }

    async function migrate(mode: string): Promise<{ result: HandoffResult | undefined; errors: string }> {
      const words = ['migrate', 'web', '--to', 'b', '--mode', mode, '--json', '--control', services.controlOf('a')]
      const outcome = await runCli(hostOf('a'), words)
      return { result: resultOf(outcome), errors: outcome.errors }
    }
  })
})
