import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

import { COMMAND_MS_MAX, pagemesh } from '../../support/pagemesh.ts'

const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string }

const COMMANDS = [
  'keygen', 'agent', 'check', 'status', 'pages', 'migrate', 'cancel', 'recover', 'settle', 'history', 'peers', 'tunnel',
]

describe('pagemesh', function () {
  this.timeout(COMMAND_MS_MAX)
  it('says its version', async () => {
    assert.deepEqual(await pagemesh('--version'), { status: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('lists its commands', async () => {
    const { status, stdout } = await pagemesh('--help')
    assert.equal(status, 0)
    for (const command of COMMANDS) assert.match(stdout, new RegExp(`^  ${command} `, 'm'))
  })

  for (const command of COMMANDS) {
    it(`${command} --help has an example and the exit status`, async () => {
      const { status, stdout } = await pagemesh(command, '--help')
      assert.equal(status, 0)
      assert.match(stdout, /Examples?:\n  pagemesh/)
      assert.match(stdout, /Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 130 cancelled\./)
    })
  }

  for (const args of [
    [], ['bogus'], ['keygen'], ['agent'], ['check'], ['status', 'more'], ['status', '--bogus'],
    ['pages', '--top', '0'], ['pages', '--top', '100001'], ['pages', '--top', 'all'], ['pages', '--top'],
    ['cancel'], ['cancel', ''], ['recover'], ['recover', ''], ['recover', 'web-1', '--to', 'host-b'],
    ['settle'], ['settle', 'web-1'], ['settle', '--run'], ['settle', 'web-1', '--run', '--end'],
    ['settle', '', '--end'],
    ['history', '--top', '0'], ['history', '--top', '201'], ['history', '--audit', '--top', '20001'],
    ['peers', 'accept'], ['peers', 'forget', 'host-b'], ['history', 'web-1'],
    ['migrate', 'web-1'], ['migrate', '--to', 'host-b'], ['migrate', 'web-1', '--to', ''],
    ['migrate', 'web-1', '--to', 'host-b', '--mode', 'magic'],
    ['migrate', 'web-1', '--to', 'host-b', '--max-bandwidth', '500'],
    ['migrate', 'web-1', '--to', 'host-b', '--max-downtime', '-5'],
    ['migrate', 'web-1', '--to', 'host-b', '--timeout', 'soon'],
    ['migrate', 'web-1', '--to', 'host-b', '--on-timeout', 'pause'],
    ['evacuate', '--on-timeout', 'postcopy'], ['evacuate', '--timeout', '5', '--on-timeout', 'magic'],
    ['evacuate', '--timeout', '5', '--on-timeout', 'pause', '--mode', 'postcopy'],
    ['migrate', 'web-1', '--to', 'host-b', '--channels', '17'],
    ['migrate', 'web-1', '--to', 'host-b', '--channels', '2', '--mode', 'postcopy'],
    ['agent', '--config', '/nonexistent', '--log-level', 'loud'],
  ]) {
    it(`${args.join(' ')} is wrong usage`, async () => {
      const { status, stdout, stderr } = await pagemesh(...args)
      assert.equal(status, 2)
      assert.equal(stdout, '')
      assert.notEqual(stderr, '')
    })
  }
})
