import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

import { parseTarGzip } from 'nanotar'

import { createControlServer } from '../../../src/daemon/control/index.ts'
import { createAgent, MemoryNetwork, PAGE_BYTES } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { waitFor } from '../../../testnet/index.ts'
import { memoryOf } from '../../support/fakeguest.ts'
import { COMMAND_MS_MAX, pagemesh } from '../../support/pagemesh.ts'

const NAMES = [
  'doctor.txt', 'doctor.json', 'host.json', 'configuration.json', 'status.json', 'history.json', 'versions.json',
  'metrics.txt', 'log.txt',
]

describe('pagemesh bugreport', function () {
  this.timeout(2 * COMMAND_MS_MAX)
  let folder: string
  let config: string
  /** The line of the key file without its prefix. */
  let key: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bugreport-'))
    config = join(folder, 'agent.yaml')
    await pagemesh('keygen', join(folder, 'key'))
    key = (await readFile(join(folder, 'key'), 'utf8')).trim().replace(/^.*:/, '')
    await writeFile(config, [
      '# the root password is hunter2', 'name: host-a', `clusterKey: ${join(folder, 'key')}`,
      'listen: [/ip4/127.0.0.1/tcp/0]', `control: ${join(folder, 'control.sock')}`, `store: {path: ${folder}/state}`,
    ].join('\n'))
  })

  afterEach(() => rm(folder, { recursive: true }))

  /** Texts of the archive by name, without its directory. */
  async function opened(file: string): Promise<Map<string, string>> {
    const files = await parseTarGzip(await readFile(file))
    return new Map(files.map(({ name, text }) => [name.replace(/^[^/]+\//, ''), text]))
  }

  it('has all of an agent but its keys and its guests\' pages', async () => {
    const pages = Array.from({ length: 20 }, () => randomBytes(PAGE_BYTES))
    const path = join(folder, 'state')
    const agent = await createAgent(
      { name: 'host-a', clusterKey: join(folder, 'key'), store: { path }, census: { intervalSeconds: 1 } },
      { mesh: new MemoryNetwork().createMesh('host-a') },
    )
    const control = { path: join(folder, 'control.sock') }
    const metrics = () => agent.metrics()
    const server = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, control)
    await agent.start()
    await server.start()
    try {
      agent.addGuest(memoryOf('web', pages))
      await waitFor(() => (agent.status().census.distinctPages === pages.length ? true : undefined), {
        clock: systemClock, what: 'the guest to be scanned', timeoutMs: 10_000,
      })
      const file = join(folder, 'report.tar.gz')
      const { status, stdout, stderr } = await pagemesh('bugreport', file, '--config', config)
      assert.deepEqual([status, stderr], [0, ''], stdout)
      assert.equal((await stat(file)).mode & 0o777, 0o600)
      const files = await opened(file)
      assert.deepEqual([...files.keys()], NAMES)
      assert.equal((JSON.parse(files.get('status.json')!) as { guests: { name: string }[] }).guests[0]?.name, 'web')
      assert.match(files.get('metrics.txt')!, /^pagemesh_guests 1$/m)
      assert.match(files.get('doctor.txt')!, /control socket/)
      assert.match(files.get('configuration.json')!, /"name": "host-a"/)
      assert.match(files.get('versions.json')!, /"pagemesh": "\d/)
      assert.match(files.get('log.txt')!, /./)
      const all = gunzipSync(await readFile(file))
      assert.equal(all.indexOf(key), -1, 'not the line of the key')
      for (const secret of [Buffer.from(key, 'base64url'), ...pages]) {
        for (const [form, bytes] of formsOf(secret)) assert.equal(all.indexOf(bytes), -1, `no ${form} of a secret`)
      }
      assert.equal(all.indexOf('hunter2'), -1, 'nothing that stands in comments')
      assert.ok(all.indexOf('host-a') > 0, 'what is there is found')
    } finally {
      await agent.stop()
      await server.stop()
    }
  })

  it('is written without an agent too, and never over a file', async () => {
    const file = join(folder, 'report.tar.gz')
    const first = await pagemesh('bugreport', file, '--config', config, '--json')
    assert.equal(first.status, 0)
    const { bytes, contents } = JSON.parse(first.stdout) as { bytes: number; contents: string[] }
    assert.deepEqual([bytes, contents], [(await stat(file)).size, NAMES])
    assert.match((await opened(file)).get('metrics.txt')!, /^# No agent answers/)
    const before = await readFile(file)
    const again = await pagemesh('bugreport', file, '--config', config)
    assert.equal(again.status, 1)
    assert.match(again.stderr, /exists already\. Name another file/)
    assert.deepEqual(await readFile(file), before)
    const nowhere = await pagemesh('bugreport', join(folder, 'no', 'report.tar.gz'), '--config', config)
    assert.match(nowhere.stderr, /cannot be written \(ENOENT\)/)
    assert.deepEqual((await readdir(folder)).filter((name) => name.endsWith('.gz')), ['report.tar.gz'])
  })
})

/** The first bytes of a secret as they are, and as texts write bytes. */
function formsOf(secret: Buffer): [string, Buffer | string][] {
  const start = secret.subarray(0, 30)
  return [['bytes', start], ['hex', start.toString('hex')], ['base64', start.toString('base64')]]
}
