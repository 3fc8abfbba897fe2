/** Debian's Prometheus, which reads two agents' metrics and is asked what the dashboard and the alerts ask. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { stringify } from 'yaml'

import { systemClock } from '../../src/runtime/clock.ts'
import { startProcess, waitFor, type LabProcess } from '../../testnet/index.ts'
import { pagemesh, RunningCommand } from '../support/pagemesh.ts'
import { Prometheus } from '../support/prometheus.ts'
import { freePort } from './freeport.ts'

const TEST_MS_MAX = 120_000
const SETUP = fileURLToPath(new URL('setup.sh', import.meta.url))
const ALERTS = fileURLToPath(new URL('../../src/daemon/monitoring/alerts.yaml', import.meta.url))
const HOSTS = ['host-a', 'host-b']
/** Panels that show nothing before a handoff has ended. */
const AFTER_A_HANDOFF = ['Handoffs that ended']

describe('a Prometheus that reads the agents', function () {
  this.timeout(TEST_MS_MAX)
  let folder: string
  let prometheus: Prometheus
  let program: LabProcess
  const agents: RunningCommand[] = []

  before(async () => {
    const command = execFileSync(SETUP, ['prometheus'], { encoding: 'utf8' }).trim()
    folder = await mkdtemp(join(tmpdir(), 'prometheus-'))
    await pagemesh('keygen', join(folder, 'key'))
    const mesh = await freePort()
    const targets: string[] = []
    for (const name of HOSTS) {
      const http = `127.0.0.1:${await freePort()}`
      targets.push(http)
      const config = join(folder, `${name}.yaml`)
      await writeFile(config, stringify({
        name, clusterKey: join(folder, 'key'), lane: '127.0.0.1:0', control: join(folder, `${name}.sock`), http,
        listen: [`/ip4/127.0.0.1/tcp/${name === 'host-a' ? mesh : 0}`], bootstrap: [`/ip4/127.0.0.1/tcp/${mesh}`],
        store: { path: join(folder, name), maxBytes: '1MiB' },
      }))
      const agent = new RunningCommand(['agent', '--config', config])
      agents.push(agent)
      await agent.saysOnStderr(/control socket open/)
    }
    await writeFile(join(folder, 'prometheus.yml'), stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' }, rule_files: [ALERTS],
      scrape_configs: [{ job_name: 'pagemesh', static_configs: [{ targets }] }],
    }))
    const address = `127.0.0.1:${await freePort()}`
    program = startProcess([], [
      command, `--config.file=${join(folder, 'prometheus.yml')}`, `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`, '--log.level=warn',
    ])
    prometheus = new Prometheus(`http://${address}`)
  })

  after(async () => {
    await (program as LabProcess | undefined)?.terminate()
    for (const agent of agents) agent.process.kill('SIGTERM')
    for (const agent of agents) await agent.finished
    await rm(folder, { recursive: true })
  })

  it('has an answer to every query of the dashboard, and all the alerts', async () => {
    await waitFor(async () => {
      assert.ok(program.running, program.errors)
      const seen = await Promise.all(['sum(up)', 'sum(pagemesh_peers)', 'sum(count_over_time(up[1m]))']
        .map((expr) => prometheus.valueOf(expr).catch(() => NaN)))
      return seen[0] === HOSTS.length && seen[1] === HOSTS.length && seen[2]! >= 3 * HOSTS.length ? true : undefined
    }, { clock: systemClock, what: 'Prometheus to have read both agents', timeoutMs: TEST_MS_MAX, pauseMs: 200 })
    const empty = (await prometheus.withoutData()).filter(({ isAlert }) => !isAlert).map(({ where }) => where)
    assert.deepEqual(empty.filter((where) => !AFTER_A_HANDOFF.includes(where)), [])
    assert.equal(await prometheus.valueOf('count(pagemesh_info)'), HOSTS.length)
    const rules = await waitFor(async () => {
      const loaded = await prometheus.rules()
      return loaded.every(({ health }) => health !== 'unknown') ? loaded : undefined
    }, { clock: systemClock, what: 'the alerts to be looked at', timeoutMs: TEST_MS_MAX, pauseMs: 200 })
    assert.ok(rules.length > 5)
    for (const { name, health, lastError } of rules) assert.equal(health, 'ok', `${name}: ${lastError}`)
    // Nothing fires where nothing is wrong; what is not so for long enough may be pending on a busy machine.
    assert.deepEqual(rules.filter(({ state }) => state === 'firing').map(({ name }) => name), [])
  })

  it('would say which query is wrong', async () => {
    await assert.rejects(prometheus.query('sum(pagemesh_info'), /unclosed left parenthesis|parse error/)
    assert.deepEqual(await prometheus.query('pagemesh_nothing'), [])
  })
})
