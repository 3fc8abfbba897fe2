import assert from 'node:assert/strict'

import { resultOf } from '../../support/fakeagent.ts'
import { COMMAND_MS_MAX } from '../../support/pagemesh.ts'
import { eventually } from '../relay/hosts.ts'
import { serveAgent } from './servedagent.ts'

const MOVE = { guest: 'web-1', to: 'host-b' }
const BEGUN = { event: 'begun', id: '01', guest: 'web-1', to: 'host-b', address: '/run/t' } as const
const ENDED = { event: 'ended', id: '01', result: resultOf(MOVE, 'completed') } as const
const REFUSED = { event: 'refused', code: 'not-allowed', reason: 'It \u009B1mmay not.' } as const

describe('pagemesh tunnel', function () {
  this.timeout(COMMAND_MS_MAX)
  const served = serveAgent()

  it('says what passes, a line each, until Ctrl-C', async () => {
    const command = served.run('tunnel', '--to', 'host-b', '--path', '/run/t')
    await eventually(() => served.agent.tunnels.length === 1, COMMAND_MS_MAX)
    const [tunnel] = served.agent.tunnels
    const { onNews, ...request } = tunnel!.request
    assert.deepEqual(request, { to: 'host-b', path: '/run/t' })
    for (const news of [BEGUN, ENDED, REFUSED]) onNews(news)
    assert.equal(tunnel!.isClosed, false)
    await command.saysLines(4)
    command.process.kill('SIGINT')
    const { status, stdout } = await command.finished
    assert.equal(status, 0)
    assert.ok(tunnel!.isClosed)
    const [listening, begun, ended, refused] = stdout.trimEnd().split('\n')
    assert.equal(listening, 'Listening at /run/t, for /run/t on host-b.')
    assert.equal(begun, 'web-1 begins to move to host-b.')
    assert.match(ended!, /^web-1 to host-b: completed after 2\.10 s, 32\.0 MB on the wire .* 50 of 100 pages as ref/)
    assert.equal(refused, 'A connection was closed: It \\u009b1mmay not.')
  })

  it('with --json says an object a line, and hands on how the socket is to be', async () => {
    const command = served.run(
      'tunnel', '--to', 'host-b', '--path', '/run/t', '--remote-path', '127.64.0.2:20500', '--mode', '0660',
      '--group', 'root', '--json',
    )
    await eventually(() => served.agent.tunnels.length === 1, COMMAND_MS_MAX)
    const { onNews, ...request } = served.agent.tunnels[0]!.request
    assert.deepEqual(request, { to: 'host-b', path: '/run/t', remotePath: '127.64.0.2:20500', mode: 0o660, gid: 0 })
    onNews(ENDED)
    await command.saysLines(2)
    command.process.kill('SIGTERM')
    const { status, stdout } = await command.finished
    assert.equal(status, 0)
    assert.deepEqual(stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as unknown), [
      { event: 'listening' }, ENDED,
    ])
  })

  it('that is killed leaves no tunnel', async () => {
    const command = served.run('tunnel', '--to', 'host-b', '--path', '/run/t')
    await eventually(() => served.agent.tunnels.length === 1, COMMAND_MS_MAX)
    command.process.kill('SIGKILL')
    await eventually(() => served.agent.tunnels[0]!.isClosed, COMMAND_MS_MAX)
  })

  it('knows wrong usage', async () => {
    for (const words of [
      ['--path', '/run/t'], ['--to', 'host-b'], ['--to', 'host-b', '--path', '/run/t', '--mode', '999'],
    ]) {
      assert.equal((await served.run('tunnel', ...words).finished).status, 2)
    }
    const { status, stderr } = await served.run(
      'tunnel', '--to', 'host-b', '--path', '/run/t', '--group', 'nobody-has-this',
    ).finished
    assert.equal(status, 1)
    assert.match(stderr, /There is no group nobody-has-this on this host/)
    assert.equal(served.agent.tunnels.length, 0)
  })
})
