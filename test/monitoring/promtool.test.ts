/** Prometheus' own checks of what an agent tells it, and of the alerts that are made of it. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { parse } from 'yaml'

import { pagemesh, RunningCommand } from '../support/pagemesh.ts'
import { freePort } from './freeport.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const ALERTS = fileURLToPath(new URL('../../src/daemon/monitoring/alerts.yaml', import.meta.url))
const TESTS = join(HERE, 'alerts.test.yaml')

describe('promtool', function () {
  this.timeout(60_000)
  let promtool: string

  before(() => { promtool = execFileSync(join(HERE, 'setup.sh'), { encoding: 'utf8' }).trim() })

  function run(words: readonly string[], input = ''): { status: number | null; said: string } {
    const { status, stdout, stderr } = spawnSync(promtool, words, { encoding: 'utf8', input })
    return { status, said: stdout + stderr }
  }

  it('finds nothing wrong with what an agent tells, with guests\' names and without', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'promtool-'))
    await pagemesh('keygen', join(folder, 'key'))
    try {
      for (const guestNames of [false, true]) {
        const http = `127.0.0.1:${await freePort()}`
        const config = join(folder, `${guestNames}.yaml`)
        await writeFile(config, [
          'name: host-a', `clusterKey: ${join(folder, 'key')}`, 'listen: [/ip4/127.0.0.1/tcp/0]', 'lane: 127.0.0.1:0',
          `control: ${join(folder, 'control.sock')}`, `http: ${http}`, `store: {path: ${folder}/state, maxBytes: 1MiB}`,
          `metrics: {guestNames: ${guestNames}}`,
        ].join('\n'))
        const agent = new RunningCommand(['agent', '--config', config])
        try {
          await agent.saysOnStderr(/control socket open/)
          const text = await (await fetch(`http://${http}/metrics`)).text()
          for (const name of ['pagemesh_info{', 'nodejs_eventloop_lag_p99_seconds ', 'process_cpu_seconds_total ']) {
            assert.ok(text.includes(`\n${name}`), name)
          }
          assert.equal(text.includes('# TYPE pagemesh_guest_resident_pages'), guestNames)
          assert.deepEqual(run(['check', 'metrics'], text), { status: 0, said: '' })
        } finally {
          agent.process.kill('SIGTERM')
          await agent.finished
        }
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('would find what is wrong', () => {
    const { status, said } = run(['check', 'metrics'], '# TYPE pagemesh_kB gauge\npagemesh_kB 1\n')
    assert.notEqual(status, 0)
    assert.match(said, /no help text/)
  })

  it('takes the alerts, and each fires when it should', () => {
    const checked = run(['check', 'rules', ALERTS])
    assert.equal(checked.status, 0, checked.said)
    const tested = run(['test', 'rules', TESTS])
    assert.equal(tested.status, 0, tested.said)
    assert.match(tested.said, /SUCCESS/)
  })

  it('is asked of every alert for a guest or for what is stale', async () => {
    interface Played { tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[] }
    const { tests } = parse(await readFile(TESTS, 'utf8')) as Played
    const fires = new Set(tests.flatMap((test) => test.alert_rule_test)
      .flatMap(({ alertname, exp_alerts }) => (exp_alerts.length > 0 ? [alertname] : [])))
    for (const name of ['GuestHeld', 'DigestMismatch', 'ViewStale', 'EventLoopLag', 'AgentDown', 'Alone']) {
      assert.ok(fires.has(`Pagemesh${name}`), name)
    }
  })
})
