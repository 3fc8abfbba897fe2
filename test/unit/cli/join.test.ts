import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { readConfig } from '../../../src/daemon/index.ts'
import { sampleConfig } from '../../../src/debian/sampleconfig.ts'
import { OPTIONS, type AgentStatus, type Invitation, type PeerName } from '../../../src/index.ts'
import { writeClusterKey } from '../../../src/mesh/index.ts'
import { encodeToken } from '../../../src/mesh/invitation/token.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { COMMAND_MS_MAX, pagemesh, RunningCommand, type Finished } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

const TOKEN = encodeToken({ id: 'ab'.repeat(16), secret: new Uint8Array(32).fill(1), mark: new Uint8Array(16) })

describe('pagemesh invite', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  it('prints the token alone, and beside it how to use it', async () => {
    const { status, stdout, stderr } = await served.run('invite', '--ttl', '30m', '--uses', '3').finished
    assert.deepEqual([status, stdout], [0, 'pmjoin1-secret\n'])
    assert.match(stderr, /until 2026-11-26T14:42:37.123Z, 3 times:\n {2}pagemesh join 10\.0\.0\.1:4002 - --config /)
    await served.run('invite').finished
    assert.deepEqual(served.agent.calls, ['invite 1800000 3', 'invite 3600000 1'])
  })

  it('refuses times and uses that an invitation cannot have', async () => {
    for (const args of [['--ttl', '8d'], ['--ttl', '0s'], ['--ttl', '1'], ['--uses', '0']]) {
      assert.equal((await served.run('invite', ...args).finished).status, 2, args.join(' '))
    }
    assert.deepEqual(served.agent.calls, [])
  })
})

describe('pagemesh join', function () {
  this.timeout(4 * COMMAND_MS_MAX)
  let folder: string
  const running: RunningCommand[] = []

  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'join-')) })
  afterEach(async () => {
    for (const { process } of running) process.kill('SIGTERM')
    for (const { finished } of running.splice(0)) await finished
    await rm(folder, { recursive: true })
  })

  const joined = (at: string, token: string, ...more: string[]): Promise<Finished> =>
    pagemesh('join', at, token, '--config', join(folder, 'new', 'agent.yaml'), ...more)

  it('never repeats a token that it refuses, writes nothing, and says what is wrong', async () => {
    const cut = TOKEN.slice(0, -1)
    const refused = await joined('127.0.0.1:1', cut)
    assert.equal(refused.status, 2)
    assert.match(refused.stderr, /no whole token/)
    const unreachable = await joined('127.0.0.1:1', TOKEN)
    assert.equal(unreachable.status, 1)
    assert.match(unreachable.stderr, /127\.0\.0\.1:1 cannot be reached/)
    assert.equal((await joined('nowhere', TOKEN)).status, 2)
    assert.equal((await joined('127.0.0.1:1', TOKEN, '--listen', '10.0.0.1:4001')).status, 2)
    for (const { stdout, stderr } of [refused, unreachable]) {
      assert.ok(!`${stdout}${stderr}`.includes(TOKEN.slice(8, 40)))
    }
    assert.deepEqual(await readdir(folder), [])
  })

  it('shows its token to no other user while it runs, and leaves nothing when it is stopped', async () => {
    let sockets = 0
    const silent = createServer((socket) => {
      // Without anybody who reads, it would not hear of the other end's close.
      socket.on('error', () => {}).resume()
      sockets += 1
    }).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const command = new RunningCommand([
      'join', `127.0.0.1:${port}`, TOKEN, '--config', join(folder, 'agent.yaml'), '--name', 'host-d',
    ])
    while (sockets === 0) await once(silent, 'connection')
    assert.ok(!(await readFile(`/proc/${command.process.pid}/cmdline`, 'utf8')).includes(TOKEN.slice(8, 20)))
    command.process.kill('SIGINT')
    const { status, stderr } = await command.finished
    silent.close()
    assert.equal(status, 130)
    assert.match(stderr, /wrote nothing/)
    assert.deepEqual(await readdir(folder), [])
  })

  /** Starts an agent on loopback, with its files in a folder of its own name. */
  async function startAgent(name: string, config: string): Promise<string> {
    const control = join(folder, `${name}.sock`)
    await writeFile(config, `control: ${control}\nstore: {path: ${join(folder, name)}, maxBytes: 0}\n`, { flag: 'a' })
    const agent = new RunningCommand(['agent', '--config', config])
    running.push(agent)
    await agent.saysOnStderr(/control socket open/)
    return control
  }

  async function statusOf(control: string): Promise<AgentStatus> {
    return JSON.parse((await pagemesh('status', '--json', '--control', control)).stdout) as AgentStatus
  }

  async function ownAddress(control: string, name: string): Promise<string> {
    const { stdout } = await pagemesh('peers', '--json', '--control', control)
    const { peers } = JSON.parse(stdout) as { peers: PeerName[] }
    return peers.find(({ host }) => host === name)?.address?.replace(/\/p2p\/.*/, '') ?? ''
  }

  async function sees(control: string, hosts: string[]): Promise<void> {
    for (;;) {
      const seen = (await statusOf(control)).peers.map(({ host }) => host).sort()
      if (seen.join() === hosts.join()) return
      await systemClock.sleep(100)
    }
  }

  it('brings a third host into a mesh of two that run, by two commands', async () => {
    const key = join(folder, 'cluster.key')
    await writeClusterKey(key)
    const controls: string[] = []
    const addresses: string[] = []
    for (const name of ['host-a', 'host-b']) {
      const config = join(folder, `${name}.yaml`)
      await writeFile(config, [
        `name: ${name}`, `clusterKey: ${key}`, 'listen: [/ip4/127.0.0.1/tcp/0]', 'lane: 127.0.0.1:0',
        `bootstrap: [${addresses.join(', ')}]`, '',
      ].join('\n'))
      const control = await startAgent(name, config)
      controls.push(control)
      addresses.push(await ownAddress(control, name))
    }
    const [first = '', second = ''] = controls
    await sees(second, ['host-a'])

    // As the Debian package brings it.
    await mkdir(join(folder, 'new'), { mode: 0o755 })
    await writeFile(join(folder, 'new', 'agent.yaml'), sampleConfig(OPTIONS))
    const invited = await pagemesh('invite', '--json', '--control', second)
    const { token, address } = JSON.parse(invited.stdout) as Invitation
    const { status, stdout, stderr } =
      await joined(address, token, '--name', 'host-c', '--listen', '/ip4/127.0.0.1/tcp/0', '--json')
    assert.deepEqual([status, stderr], [0, ''])
    const config = join(folder, 'new', 'agent.yaml')
    const written = join(folder, 'new', 'cluster.key')
    assert.deepEqual(JSON.parse(stdout), {
      name: 'host-c', from: 'host-b', config, clusterKey: written, listen: '/ip4/127.0.0.1/tcp/0',
      bootstrap: addresses[1],
    })
    assert.deepEqual(await readFile(written), await readFile(key))
    assert.equal((await stat(written)).mode & 0o777, 0o600)
    assert.equal((await stat(config)).mode & 0o777, 0o644)
    assert.equal((await readConfig(config)).agentOptions.name, 'host-c')
    assert.ok((await readFile(config, 'utf8')).startsWith(sampleConfig(OPTIONS).slice(0, 100)))

    const third = await startAgent('host-c', config)
    await sees(third, ['host-a', 'host-b'])
    await sees(first, ['host-b', 'host-c'])
    const again = await pagemesh('join', address, token, '--config', join(folder, 'other.yaml'), '--name', 'host-e',
      '--key', join(folder, 'other.key'))
    assert.equal(again.status, 1)
    assert.match(again.stderr, /has been used already/)
    assert.ok(!(await readdir(folder)).some((file) => file.includes('other')))
    // One that says something is refused before the token is shown to anybody.
    const taken = await joined('127.0.0.1:1', token, '--key', join(folder, 'other.key'))
    assert.equal(taken.status, 1)
    assert.match(taken.stderr, /agent\.yaml exists already and was left as it is\. Give another path/)
    assert.deepEqual((await statusOf(second)).invitations, { open: 0, joined: 1, refused: 1 })
    const audit = (await pagemesh('history', '--audit', '--control', second)).stdout
    for (const line of [/made the invitation/, /gave the cluster key to host-c at 127\.0\.0\.1/, /: used/]) {
      assert.match(audit, line)
    }
  })
})
