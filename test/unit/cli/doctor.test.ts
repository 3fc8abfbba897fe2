import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Finding } from '../../../src/daemon/doctor/index.ts'
import type { AgentStatus } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { waitFor } from '../../../testnet/index.ts'
import { COMMAND_MS_MAX, pagemesh, RunningCommand } from '../../support/pagemesh.ts'

describe('pagemesh doctor', function () {
  this.timeout(2 * COMMAND_MS_MAX)
  let folder: string
  const agents: RunningCommand[] = []

  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'doctor-')) })

  afterEach(async () => {
    for (const agent of agents) agent.process.kill('SIGTERM')
    for (const agent of agents.splice(0)) await agent.finished
    await rm(folder, { recursive: true })
  })

  const control = (name: string): string => join(folder, `${name}.sock`)

  async function configure(name: string, more: string[] = []): Promise<string> {
    const file = join(folder, `${name}.yaml`)
    await writeFile(file, [
      `name: ${name}`, `clusterKey: ${join(folder, 'key')}`, 'listen: [/ip4/127.0.0.1/tcp/0]', 'lane: 127.0.0.1:0',
      `control: ${control(name)}`, `store: {path: ${join(folder, name)}, maxBytes: 1MiB}`,
      `guests: ["${folder}/*.qmp"]`,
      ...more,
    ].join('\n'))
    return file
  }

  async function start(name: string, more: string[] = []): Promise<string> {
    const file = await configure(name, more)
    const agent = new RunningCommand(['agent', '--config', file])
    agents.push(agent)
    await agent.saysOnStderr(/control socket open/)
    return file
  }

  async function statusOf(name: string): Promise<AgentStatus> {
    return JSON.parse((await pagemesh('status', '--json', '--control', control(name))).stdout) as AgentStatus
  }

  async function examine(...flags: string[]): Promise<{ checks: Finding[]; status: number | null }> {
    const { stdout, status, stderr } = await pagemesh('doctor', '--json', ...flags)
    assert.equal(stderr, '')
    const { checks } = JSON.parse(stdout) as { checks: Finding[] }
    assert.equal(status, checks.some(({ verdict }) => verdict === 'broken') ? 1 : 0)
    return { checks, status }
  }

  function verdictsOf(checks: readonly Finding[], ...names: string[]): string[] {
    return names.map((name) => checks.find(({ check }) => check === name)?.verdict ?? 'not there')
  }

  it('looks at a host with its agent, and at the way to another and back', async () => {
    await pagemesh('keygen', join(folder, 'key'))
    await start('a')
    const { peerId } = await statusOf('a')
    const [, address] = await agents[0]!.saidOnStderr(/"address":"([^"]+)","msg":"agent started"/)
    const file = await start('b', [`bootstrap: [${address}/p2p/${peerId}]`])
    await waitFor(async () => ((await statusOf('b')).peers.length > 0 ? true : undefined), {
      clock: systemClock, what: 'the hosts to meet', timeoutMs: 30_000,
    })
    const { checks } = await examine('--config', file)
    assert.deepEqual(verdictsOf(checks, 'configuration', 'control socket', 'version', 'announced', 'pagemap', 'store'),
      ['ok', 'ok', 'ok', 'warning', 'ok', 'ok'])
    const ways = ['lane to', 'lane from', 'clock of', 'version of']
    assert.deepEqual(verdictsOf(checks, ...ways), ways.map(() => 'ok'), JSON.stringify(checks, null, 1))
    const { checks: missing, status } = await examine('--config', file, '--to', 'host-c')
    assert.deepEqual([verdictsOf(missing, 'peers'), status], [['broken'], 1])
    for (const name of ['a', 'b']) assert.equal((await statusOf(name)).strangers, 0, 'none was taken for a stranger')
  })

  it('looks at a host without an agent, and says so in words', async () => {
    await pagemesh('keygen', join(folder, 'key'))
    const file = await configure('a')
    const qemu = createServer((socket) => {
      socket.write(`{"QMP":{"version":{"qemu":{"major":8,"minor":1,"micro":2}},"capabilities":[]}}\r\n`)
      socket.on('data', (bytes) => {
        const { id } = JSON.parse(String(bytes)) as { id: unknown }
        socket.write(`${JSON.stringify({ return: {}, id })}\r\n`)
      })
    }).listen(join(folder, 'web.qmp'))
    const { checks } = await examine('--config', file)
    qemu.close()
    assert.deepEqual(verdictsOf(checks, 'configuration', 'control socket', 'store'), ['ok', 'broken', 'ok'])
    assert.equal(checks.find(({ check }) => check === 'guest')?.found, 'QEMU 8.1.2 answers there.')
    const { stdout, status } = await pagemesh('doctor', '--config', file)
    assert.equal(status, 1)
    assert.match(stdout, /^broken +control socket \S+ +No agent answers at .*\n +-> Start it with/m)
    assert.match(stdout, /\n[1-9]\d* broken, \d+ warnings?, \d+ ok\n$/)
  })

  it('tells a configuration that is not there or not valid', async () => {
    const { checks } = await examine('--config', '/nowhere/agent.yaml', '--control', control('a'))
    assert.deepEqual(verdictsOf(checks, 'configuration', 'control socket'), ['broken', 'broken'])
    const file = await configure('a', ['censsus: {}'])
    const wrong = (await examine('--config', file)).checks.find(({ check }) => check === 'configuration')!
    assert.match(`${wrong.found} ${wrong.advice}`, /`censsus` is unknown.*Did you mean `census`/)
  })
})
