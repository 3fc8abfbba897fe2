import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { writeClusterKey } from '../../../src/mesh/index.ts'
import { STATUS } from '../../support/fakeagent.ts'
import { COMMAND_MS_MAX, pagemesh, RunningCommand } from '../../support/pagemesh.ts'
import { serveAgent } from './servedagent.ts'

describe('commands that read or write files', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()
  let folder: string
  let key: string
  let file: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'command-'))
    key = join(folder, 'cluster.key')
    file = join(folder, 'agent.yaml')
  })

  afterEach(() => rm(folder, { recursive: true }))

  /** Writes a key and a configuration that is good but for `more`. */
  async function configure(more = '', control = join(folder, 'control.sock')): Promise<void> {
    await writeClusterKey(key)
    await writeFile(file, [
      'name: host-a', `clusterKey: ${key}`, 'listen: [/ip4/127.0.0.1/tcp/0]', 'lane: 127.0.0.1:0',
      `control: ${control}`, `guests: ["${folder}/*.qmp"]`, more,
    ].join('\n'))
  }

  it('keygen writes a key for its owner alone, and never overwrites one', async () => {
    assert.equal((await pagemesh('keygen', key)).status, 0)
    assert.equal((await stat(key)).mode & 0o777, 0o600)
    const written = await readFile(key)
    const again = await pagemesh('keygen', key)
    assert.equal(again.status, 1)
    assert.match(again.stderr, /exists already/)
    assert.deepEqual(await readFile(key), written)
  })

  it('check says what the agent would do, with the guests that are there', async () => {
    await configure(`store: {path: ${folder}}\nmanaged: proxmox\ntenants: [{guests: "db-*", tenant: blue}]`)
    const guest = createServer().listen(join(folder, 'web.qmp'))
    try {
      const { status, stdout, stderr } = await pagemesh('check', '--config', file)
      assert.equal(stderr, '')
      assert.equal(status, 0)
      assert.match(stdout, /is valid/)
      assert.match(stdout, /sockets there now +\S+web\.qmp/)
      assert.match(stdout, /managed guests +those of Proxmox, which moves them\n +QEMUs there now +none\n/)
      assert.match(stdout, /pages are hashed by +the (kernel, \w+|package, more slowly)/)
      assert.match(stdout, /intercepts +nothing\n/)
      assert.match(stdout, /takes guests from +every member, any guest/)
      assert.match(stdout, /tenants +db-\* of blue; others of shared\n/)
      assert.match(stdout, /mesh listens on +\/ip4\/127\.0\.0\.1\/tcp\/0/)
    } finally {
      guest.close()
    }
  })

  it('check says where host names lead, and refuses addresses of other kinds', async () => {
    await configure('bootstrap: [/dns4/localhost/tcp/4001, /ip4/10.0.0.2/tcp/4001, /dns6/nobody.invalid/tcp/4001]')
    const { status, stdout } = await pagemesh('check', '--config', file)
    assert.equal(status, 0)
    const [, row = ''] = /where the names lead +(.*)\n/.exec(stdout) ?? []
    assert.match(row, /^localhost is (127\.|::1)/)
    assert.match(row, /, nobody\.invalid is not known here/)
    assert.doesNotMatch(row, /10\.0\.0\.2/)
    await writeFile(file, (await readFile(file, 'utf8')).replace(/bootstrap: .*/, 'bootstrap: [/dnsaddr/mesh.example]'))
    const refused = await pagemesh('check', '--config', file)
    assert.equal(refused.status, 2)
    assert.match(refused.stderr, /a multiaddr such as .*\/dns\/host-b\/.*, unlike "\/dnsaddr\/mesh\.example"/)
  })

  it('check warns of addresses that no other host reaches', async () => {
    await configure(`store: {path: ${folder}}\nannounce: [/dns4/localhost/tcp/4001]`)
    const { status, stdout } = await pagemesh('check', '--config', file)
    assert.equal(status, 0)
    assert.match(stdout, /others are told +\/dns4\/localhost\/tcp\/4001\n/)
    assert.match(stdout, /\nWarning: No other host can dial that\. Set `announce` to addresses at which/)
  })

  it('check says what would be intercepted, and what is missing for it', async () => {
    await configure(`store: {path: ${folder}}\nintercept: {ports: [49152-49215, 8102]}`)
    const { status, stdout } = await pagemesh('check', '--config', file)
    assert.equal(status, 0)
    const what = /intercepts +connections to ports 49152-49215, 8102 of members(: not possible now \(\w.*\))?\n/
    assert.match(stdout, what)
  })

  it('check asks the agent, if one runs, whether it intercepts', async () => {
    const { agent, path } = served
    await configure('intercept: {ports: [8102]}', path)
    for (const [why, said] of [[null, 'members'], ['it may not', 'members: not possible now (it may not)']] as const) {
      agent.status = () => ({ ...STATUS, intercept: { ...STATUS.intercept, active: why === null, why } })
      const { stdout } = await pagemesh('check', '--config', file)
      assert.ok(stdout.includes(`connections to ports 8102 of ${said}\n`), stdout)
    }
  })

  it('check takes the configuration of the service, if none is named', async () => {
    const { stdout, stderr } = await pagemesh('check')
    assert.match(stdout + stderr, /\/etc\/pagemesh\/agent\.yaml/)
  })

  for (const command of ['check', 'agent']) {
    it(`${command} refuses to intercept what agents need`, async () => {
      await configure('intercept: {ports: [20000-20100]}')
      const { status, stderr } = await pagemesh(command, '--config', file)
      assert.equal(status, 2)
      assert.match(stderr, /`intercept\.ports` has 20000-20100, but interception itself needs/)
    })

    it(`${command} refuses an unknown key and names the nearest`, async () => {
      await configure('censsus: {}')
      const { status, stderr } = await pagemesh(command, '--config', file)
      assert.equal(status, 2)
      assert.match(stderr, /agent\.yaml, line 7: the key `censsus` is unknown\. Did you mean `census`\?/)
    })

    it(`${command} refuses a key file that is missing`, async () => {
      await configure()
      await rm(key)
      const { status, stderr } = await pagemesh(command, '--config', file)
      assert.equal(status, 2)
      assert.match(stderr, /cluster\.key cannot be read.*keygen/)
    })

    it(`${command} refuses a configuration that is not there`, async () => {
      const { status, stderr } = await pagemesh(command, '--config', file)
      assert.equal(status, 2)
      assert.match(stderr, /agent\.yaml: the configuration cannot be read \(ENOENT\)/)
    })
  }

  it('check refuses a control socket where none can be made', async () => {
    await configure()
    await writeFile(file, (await readFile(file, 'utf8')).replace(/^control: .*$/m, `control: ${key}/control.sock`))
    const { status, stderr } = await pagemesh('check', '--config', file)
    assert.equal(status, 2)
    assert.match(stderr, /`control` cannot be used/)
  })

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`agent logs JSON, serves its socket, refuses a second one, and ends cleanly on ${signal}`, async () => {
      await configure(`store: {path: ${folder}}`)
      const agent = new RunningCommand(['agent', '--config', file])
      await agent.saysOnStderr(/control socket open/)
      const control = join(folder, 'control.sock')
      const shown = await pagemesh('status', '--json', '--control', control)
      assert.equal(shown.status, 0)
      assert.equal((JSON.parse(shown.stdout) as { host: string }).host, 'host-a')
      const second = await pagemesh('agent', '--config', file)
      assert.equal(second.status, 1)
      assert.match(second.stderr, /Another agent runs already/)
      agent.process.kill(signal)
      const { status, stdout, stderr } = await agent.finished
      assert.equal(status, 0)
      assert.equal(stdout, '')
      for (const line of stderr.trimEnd().split('\n')) {
        assert.doesNotThrow(() => JSON.parse(line), `no line of JSON: ${line}`)
      }
      await assert.rejects(stat(control), { code: 'ENOENT' })
    })
  }
})
