import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { askAgent } from '../../../src/daemon/control/index.ts'
import { parseConfig, runDaemon, type Config, type DaemonNews } from '../../../src/daemon/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { silentLog, type Log } from '../../../src/runtime/log.ts'
import { FakeAgent } from '../../support/fakeagent.ts'

describe('the daemon', () => {
  let folder: string
  let config: Config
  let agent: FakeAgent

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'daemon-'))
    const text = `{name: host-a, clusterKey: /key, control: ${join(folder, 'c')}, http: "127.0.0.1:0"}`
    config = parseConfig(text, 'agent.yaml')
    agent = new FakeAgent()
  })

  afterEach(() => rm(folder, { recursive: true }))

  /** Starts it; `ready` resolves once the control socket is open. */
  function run(signal: AbortSignal): { ready: Promise<void>; ended: Promise<void> } {
    const ready = Promise.withResolvers<void>()
    const log: Log = { ...silentLog, info: (message) => { if (message === 'control socket open') ready.resolve() } }
    const ended = runDaemon({ config, log, signal, createAgent: async () => agent })
    ended.catch((error: unknown) => ready.reject(error))
    ready.promise.catch(() => undefined)
    return { ready: ready.promise, ended }
  }

  it('serves commands until it is told to end, and removes its socket', async () => {
    const abort = new AbortController()
    const { ready, ended } = run(abort.signal)
    await ready
    assert.deepEqual(await askAgent({ path: config.control, request: { command: 'ping' } }), { host: 'host-a' })
    abort.abort()
    await ended
    assert.deepEqual(agent.calls, ['start', 'stop'])
    assert.equal(existsSync(config.control), false)
  })

  it('says that it is ready when commands are answered, and that it stops before its agent does', async () => {
    const abort = new AbortController()
    const heard: string[] = []
    const announce = async (news: DaemonNews): Promise<void> => {
      heard.push(news)
      if (news === 'stopping') assert.deepEqual(agent.calls, ['start'])
      else assert.deepEqual(await askAgent({ path: config.control, request: { command: 'ping' } }), { host: 'host-a' })
      abort.abort()
    }
    await runDaemon({ config, log: silentLog, signal: abort.signal, createAgent: async () => agent, announce })
    assert.deepEqual(heard, ['ready', 'stopping'])
  })

  it('ends with the error that ended its agent', async () => {
    const { ready, ended } = run(new AbortController().signal)
    await ready
    agent.end.reject(new PagemeshError('name-taken', 'Another host has this name.', { fault: 'usage' }))
    await assert.rejects(ended, { code: 'name-taken' })
    assert.deepEqual(agent.calls, ['start', 'stop'])
    assert.equal(existsSync(config.control), false)
  })

  it('leaves nothing behind when the start fails', async () => {
    agent.startError = new PagemeshError('http-unusable', 'No port.', { fault: 'host' })
    await assert.rejects(run(new AbortController().signal).ended, { code: 'http-unusable' })
    assert.equal(agent.calls.at(-1), 'stop')
    assert.equal(existsSync(config.control), false)
  })

  it('does not even make an agent where one runs', async () => {
    const abort = new AbortController()
    const first = run(abort.signal)
    await first.ready
    agent = new FakeAgent()
    await assert.rejects(run(new AbortController().signal).ended, { code: 'agent-running' })
    assert.deepEqual(agent.calls, [])
    abort.abort()
    await first.ended
  })
})
