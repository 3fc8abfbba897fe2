/**
 * The Debian package in a small Debian with systemd: installed, used, upgraded, removed and purged. `npm run test:deb`
 * builds both; the Debian is kept in .cache.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { stringify } from 'yaml'

import { AGENT_RIGHTS, keptRights, parseCapabilities } from '../../src/host/rights.ts'
import type { AgentStatus, Invitation } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { unitSetting } from '../../testnet/agentuser.ts'
import { startProcess, waitFor, type LabProcess } from '../../testnet/index.ts'
import { footprint } from './footprint.ts'
import { TestMachine } from './machine.ts'

const REPOSITORY = join(import.meta.dirname, '..', '..')
/** The first run makes a Debian. */
const MAKING_MS_MAX = 15 * 60_000
const STEP_MS_MAX = 120_000
/** Of `systemd-analyze security`, times ten. */
const EXPOSURE_MAX = 40
const CONFIG = '/etc/pagemesh/agent.yaml'
const UNIT = '/usr/lib/systemd/system/pagemesh.service'
const NODE = '/usr/lib/pagemesh/node/bin/node'
/** Without a question about the configuration, which both sides have changed. */
const UPGRADE = ['dpkg', '-i', '--force-confold', '/root/newer.deb']
/** For a test the package is packed fast, not small. */
const FAST = { ...process.env, DPKG_DEB_COMPRESSOR_TYPE: 'gzip', DPKG_DEB_COMPRESSOR_LEVEL: '1' }
const run = promisify(execFile)

describe('the Debian package', function () {
  this.timeout(STEP_MS_MAX)
  let folder = ''
  let debian = ''
  let file = ''
  let machine: TestMachine
  let untouched: string[]
  /** What lintian says, which it takes a while to find out; undefined: it is not there. */
  let linting: Promise<string | undefined>
  let stream: LabProcess
  const newer = (): string => join(folder, 'newer.deb')
  /** Of the test's own, in the machine. */
  const running: LabProcess[] = []

  before(async function () {
    this.timeout(MAKING_MS_MAX)
    if (process.getuid?.() !== 0) this.skip()
    folder = await mkdtemp('/var/tmp/pm-deb-')
    debian = (await run(join(import.meta.dirname, 'root.sh'))).stdout.trim()
    await run(join(REPOSITORY, 'src/debian/build.sh'), [folder], { env: FAST })
    file = join(folder, (await readdir(folder))[0]!)
    linting = lint(file)
    machine = await TestMachine.start(debian, { hasSystemd: true })
    untouched = await footprint(machine.root)
  })

  after(async () => {
    await Promise.all(running.map((one) => one.kill()))
    await (machine as TestMachine | undefined)?.stop()
    if (folder !== '') await rm(folder, { recursive: true })
  })

  it('installs the command with its manual pages, makes a user and starts nothing', async () => {
    await install(file)
    assert.equal(await machine.must('pagemesh', '--version'), `${await versionOf(file)}\n`)
    const help = await machine.must('pagemesh', '--help')
    const commands = [...help.slice(help.indexOf('Commands:')).matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name!)
    assert.ok(commands.includes('migrate'))
    const pages = await readdir(join(machine.root, 'usr/share/man/man1'))
    const described = commands.filter((name) => name !== 'help').map((name) => `pagemesh-${name}.1.gz`)
    assert.deepEqual(described.filter((page) => !pages.includes(page)), [])
    assert.match(await machine.must('getent', 'passwd', 'pagemesh'), /:\/var\/lib\/pagemesh:\/usr\/sbin\/nologin$/m)
    assert.equal((await machine.run('systemctl', 'is-enabled', 'pagemesh')).output, 'disabled\n')
    assert.equal((await machine.run('systemctl', 'is-active', 'pagemesh')).output, 'inactive\n')
  })

  it('brings a unit that systemd finds right, and closed', async () => {
    const { status, output, errors } = await machine.run('systemd-analyze', 'verify', UNIT)
    assert.deepEqual({ status, said: output + errors }, { status: 0, said: '' })
    await machine.must('systemd-analyze', 'security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, UNIT)
  })

  it('brings a configuration that lacks two keys, and makes the key', async () => {
    const { status, errors } = await machine.run('pagemesh', 'check', '--config', CONFIG)
    assert.equal(status, 2)
    assert.match(errors, /`name` is missing/)
    await machine.must('cp', CONFIG, '/etc/pagemesh/host-c.yaml')
    await machine.must('pagemesh', 'keygen', '/etc/pagemesh/cluster.key')
    await machine.must('sed', '-i', 's/^#name: .*/name: host-a/; s/^#clusterKey: /clusterKey: /', CONFIG)
    const checked = await machine.must('pagemesh', 'check', '--config', CONFIG)
    assert.match(checked, /host +host-a$/m)
    assert.match(checked, /pages are hashed by +the kernel, /)
  })

  it('runs by hand as its unit runs it', async () => {
    await writeFile(join(machine.root, 'etc/pagemesh/host-b.yaml'), stringify({
      name: 'host-b', clusterKey: '/etc/pagemesh/cluster.key', listen: ['/ip4/127.0.0.1/tcp/4011'],
      bootstrap: ['/ip4/127.0.0.1/tcp/4001'], control: '/run/pagemesh-b/control.sock',
      store: { path: '/var/lib/pagemesh-b' },
    }))
    await machine.must('install', '-d', '-o', 'pagemesh', '-g', 'pagemesh', '/run/pagemesh-b', '/var/lib/pagemesh-b')
    const kept = keptRights(AGENT_RIGHTS)
    const start = unitSetting(await machine.read(UNIT), 'ExecStart').replace(CONFIG, '/etc/pagemesh/host-b.yaml')
    const agent = startProcess(machine.words, [
      'setpriv', '--reuid=pagemesh', '--regid=pagemesh', '--clear-groups', '--no-new-privs',
      `--bounding-set=${kept}`, `--inh-caps=${kept}`, `--ambient-caps=${kept}`, '--', ...start.split(' '),
    ])
    running.push(agent)
    await untilStatus('/run/pagemesh-b/control.sock', ({ host }) => {
      assert.ok(agent.running, agent.errors)
      return host === 'host-b'
    })
  })

  it('has a service that has started only when commands are answered', async () => {
    await machine.must('systemctl', 'start', 'pagemesh')
    assert.equal((await statusOf('/run/pagemesh/control.sock'))?.host, 'host-a')
    const status = await machine.must('cat', `/proc/${await agentPid()}/status`)
    const bits = AGENT_RIGHTS.map(({ bit }) => bit).sort((a, b) => a - b)
    for (const line of ['CapPrm', 'CapBnd', 'CapAmb']) assert.deepEqual(parseCapabilities(status, line), bits, line)
    const mounts = await machine.must('cat', `/proc/${await agentPid()}/mountinfo`)
    for (const place of ['/', '/run']) assert.ok(mounts.includes(` ${place} ro,`), `${place} may be written to`)
    assert.match(mounts, / \/run\/pagemesh rw,/)
    assert.doesNotMatch(await machine.must('cat', `/proc/${await agentPid()}/cmdline`), /\/usr\/local/)
  })

  it('brings a configuration that a new host fills in as it joins', async () => {
    const { token, address } = JSON.parse(await machine.must('pagemesh', 'invite', '--json')) as Invitation
    const config = '/etc/pagemesh/host-c.yaml'
    const files = ['--config', config, '--key', '/etc/pagemesh/host-c.key']
    await machine.must('pagemesh', 'join', address, token, ...files, '--name', 'host-c')
    assert.match(await machine.must('pagemesh', 'check', '--config', config), /host +host-c$/m)
    assert.match(await machine.must('cat', config), /^# The configuration of this host's Pagemesh agent\..*^#census:/ms)
  })

  it('lets a migration of a manager pass through', async () => {
    await makeNewer(file, newer())
    await machine.bring(newer(), 'root/newer.deb')
    await machine.bring(join(import.meta.dirname, 'stream.ts'), 'root/stream.mts')
    await untilStatus('/run/pagemesh/control.sock', ({ peers }) => peers.length === 1)
    const remote = ['127.64.0.9', '20500']
    const tunnel = ['tunnel', '--to', 'host-b', '--path', '127.64.0.2:20500', '--remote-path', remote.join(':')]
    start(NODE, '/root/stream.mts', 'listen', ...remote)
    start('pagemesh', ...tunnel)
    await waitFor(async () => {
      const { output } = await machine.run('ss', '-Hltn')
      return /127\.64\.0\.2:20500/.test(output) && /127\.64\.0\.9:20500/.test(output) ? true : undefined
    }, { clock: systemClock, what: 'the tunnel', timeoutMs: STEP_MS_MAX })
    stream = start(NODE, '/root/stream.mts', 'send', '127.64.0.2', '20500')
    await untilStatus('/run/pagemesh/control.sock', ({ handoffs }) => handoffs.length === 1)
  })

  it('is not upgraded while that takes too long, and changes nothing', async () => {
    const pid = await agentPid()
    const { status, errors } = await machine.run('env', 'PAGEMESH_REST_SECONDS=1', ...UPGRADE)
    assert.equal(status, 1)
    assert.match(errors, /^pagemesh: guests are moving here \(pagemesh status\)\.$/m)
    assert.ok(stream.running, stream.errors)
    assert.equal(await agentPid(), pid)
    assert.equal(await installedVersion(), `install ok installed ${await versionOf(file)}`)
  })

  it('waits for its end to be upgraded, keeps what the operator wrote, and starts the agent again', async () => {
    const pid = await agentPid()
    const upgrading = start(...UPGRADE)
    await waitFor(() => (/waiting until no guest moves/.test(upgrading.errors) ? true : undefined),
      { clock: systemClock, what: 'dpkg to wait', timeoutMs: STEP_MS_MAX })
    assert.ok(stream.running, stream.errors)
    assert.equal(await agentPid(), pid)
    await stream.kill()
    await upgrading.ended
    assert.equal(await installedVersion(), `install ok installed ${await versionOf(newer())}`)
    assert.match(await machine.read(CONFIG), /^name: host-a$/m)
    assert.notEqual(await agentPid(), pid)
    assert.equal((await statusOf('/run/pagemesh/control.sock'))?.host, 'host-a')
  })

  it('stops the agent when it is removed, and leaves nothing when it is purged', async () => {
    await Promise.all(running.map((one) => one.terminate()))
    await machine.must('rm', '-rf', '/run/pagemesh-b', '/var/lib/pagemesh-b')
    await machine.must('systemctl', 'enable', 'pagemesh')
    await machine.must('dpkg', '--remove', 'pagemesh')
    assert.equal(await machine.must('find', '/proc', '-maxdepth', '1', '-user', 'pagemesh'), '')
    assert.match(await machine.read(CONFIG), /^name: host-a$/m)
    await machine.must('dpkg', '--purge', 'pagemesh')
    assert.deepEqual(await footprint(machine.root), untouched)
    assert.equal((await machine.run('dpkg-query', '--status', 'pagemesh')).status, 1)
    assert.equal((await machine.run('systemctl', 'is-enabled', 'pagemesh')).status, 1)
    assert.equal((await machine.run('find', '/run', '-name', '*pagemesh*')).output, '')
  })

  it('comes and goes where no systemd runs', async () => {
    const container = await TestMachine.start(debian, { hasSystemd: false })
    try {
      const clean = await footprint(container.root)
      await container.bring(file, 'root/pagemesh.deb')
      await container.must('dpkg', '-i', '/root/pagemesh.deb')
      await container.must('pagemesh', '--version')
      await container.must('dpkg', '--purge', 'pagemesh')
      assert.deepEqual(await footprint(container.root), clean)
    } finally {
      await container.stop()
    }
  })

  it('has nothing that lintian calls an error', async function () {
    this.timeout(MAKING_MS_MAX)
    const found = await linting
    if (found === undefined) {
      console.log('      missing here: lintian')
      this.skip()
    }
    assert.doesNotMatch(found, /^E:/m)
  })

  async function install(deb: string): Promise<void> {
    await machine.bring(deb, 'root/pagemesh.deb')
    await machine.must('dpkg', '-i', '/root/pagemesh.deb')
  }

  function start(...words: string[]): LabProcess {
    const started = startProcess(machine.words, words)
    running.push(started)
    return started
  }

  async function statusOf(control: string): Promise<AgentStatus | undefined> {
    const { status, output } = await machine.run('pagemesh', 'status', '--json', '--control', control)
    return status === 0 ? JSON.parse(output) as AgentStatus : undefined
  }

  async function untilStatus(control: string, fits: (status: AgentStatus) => boolean): Promise<void> {
    await waitFor(async () => {
      const status = await statusOf(control)
      return status !== undefined && fits(status) ? true : undefined
    }, { clock: systemClock, what: `the agent at ${control}`, timeoutMs: STEP_MS_MAX, pauseMs: 200 })
  }

  async function agentPid(): Promise<number> {
    return Number(await machine.must('systemctl', 'show', '--property=MainPID', '--value', 'pagemesh'))
  }

  async function installedVersion(): Promise<string> {
    return machine.must('dpkg-query', '--show', `--showformat=\${Status} \${Version}`, 'pagemesh')
  }
})

/** Never rejects. */
function lint(deb: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile('lintian', ['--allow-root', deb], (error, output, errors) => {
      resolve(error?.code === 'ENOENT' ? undefined : output + errors)
    })
  })
}

async function versionOf(deb: string): Promise<string> {
  return (await run('dpkg-deb', ['--field', deb, 'Version'])).stdout.trim()
}

/** The same package with a higher version, and another configuration in it. */
async function makeNewer(deb: string, newer: string): Promise<void> {
  const root = `${newer}.root`
  await run('dpkg-deb', ['--raw-extract', deb, root])
  const control = join(root, 'DEBIAN/control')
  await writeFile(control, (await readFile(control, 'utf8')).replace(/^Version: .*$/m, '$&+newer'))
  await appendFile(join(root, CONFIG), '# Something more.\n')
  await run('dpkg-deb', ['--root-owner-group', '--build', root, newer], { env: FAST })
  await rm(root, { recursive: true })
}
