import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Script } from 'node:vm'

import { createStatusServer, type StatusServer } from '../../../src/daemon/http.ts'
import { LIVE_MAX } from '../../../src/daemon/page/live.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { FakeAgent, STATUS } from '../../support/fakeagent.ts'
import { fakeCluster } from '../../support/fakecluster.ts'
import { until } from '../../support/meshes.ts'

function serverOf(agent: FakeAgent, address = '127.0.0.1:0'): StatusServer {
  const metrics = async (): Promise<string> => await agent.metrics()
  return createStatusServer({ agent, clock: systemClock, log: silentLog, metrics }, { address })
}

describe('the status server', () => {
  const agent = new FakeAgent()
  let server: StatusServer

  beforeEach(async () => {
    server = serverOf(agent)
    await server.start()
  })

  afterEach(() => server.stop())

  const get = (path: string, method = 'GET'): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { method })

  it('serves metrics', async () => {
    const response = await get('/metrics')
    assert.equal(response.status, 200)
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
    assert.equal(await response.text(), 'pagemesh_peers 1\n')
  })

  it('serves the status exactly', async () => {
    const response = await get('/status?pretty')
    assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8')
    assert.deepEqual(await response.json(), STATUS)
  })

  it('serves a page of the cluster and one of the host, that take nothing from elsewhere', async () => {
    agent.view = fakeCluster()
    for (const [path, shown] of [['/', /host-j/], ['/host', /web&#60;1&#62;/]] as const) {
      const response = await get(path)
      const page = await response.text()
      assert.match(response.headers.get('content-type') ?? '', /^text\/html/)
      assert.match(page, shown)
      assert.doesNotMatch(page, /https?:\/\/|style=/)
      const links = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, link]) => link!)
      assert.deepEqual([...new Set(links)].sort(), ['#main', '/', '/host', '/icon.svg', '/page.css', '/page.js'])
      for (const link of links) assert.equal((await get(link)).status, 200, link)
    }
    assert.deepEqual(await (await get('/cluster')).json(), agent.view)
  })

  it('lets a browser run and load nothing that is not this server\'s own', async () => {
    for (const path of ['/', '/host', '/page.js', '/page.css', '/nowhere', '/status']) {
      const { headers } = await get(path)
      const policy = headers.get('content-security-policy') ?? ''
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'/, path)
      assert.doesNotMatch(policy, /unsafe|https?:|\*/)
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
    }
  })

  it('has a script that a browser can read: no types in it, and nothing from outside it', async () => {
    const script = await (await get('/page.js')).text()
    assert.doesNotThrow(() => new Script(script))
    assert.match(script, /^\(function live\(\)/)
  })

  it('sends browsers what has changed, until the agent stops', async () => {
    const response = await get('/events')
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/)
    const told: string[] = []
    const reading = (async () => {
      for await (const chunk of response.body!) told.push(Buffer.from(chunk).toString())
    })()
    const sections = (): string[] => [...told.join('').matchAll(/^event: section\ndata: (.*)$/gm)]
      .map(([, data = '']) => (JSON.parse(data) as { id: string }).id)
    await until(() => sections().length >= 9, 'all sections')
    const before = sections().length
    agent.view = fakeCluster(77)
    await until(() => sections().length > before, 'what has changed')
    assert.deepEqual([...new Set(sections().slice(before))], ['moves'])
    await server.stop()
    await reading
  })

  it('keeps so many browsers up to date and no more, and answers others all the same', async () => {
    const abort = new AbortController()
    const follow = (): Promise<Response> => fetch(`http://127.0.0.1:${server.port}/events`, { signal: abort.signal })
    const open = await Promise.all(Array.from({ length: LIVE_MAX }, follow))
    assert.ok(open.every(({ status }) => status === 200))
    assert.equal((await follow()).status, 503)
    assert.equal((await get('/')).status, 200)
    assert.equal((await get('/host/events', 'HEAD')).status, 200)
    abort.abort()
    // The server hears of it a moment later.
    let again = await get('/events')
    while (again.status === 503) again = await get('/events')
    assert.equal(again.status, 200)
    await again.body!.cancel()
  })

  it('knows nothing else, and changes nothing', async () => {
    assert.equal((await get('/favicon.ico')).status, 404)
    assert.equal((await get('/status/', 'GET')).status, 404)
    assert.equal((await get('/', 'POST')).status, 405)
    const head = await get('/status', 'HEAD')
    assert.equal(head.status, 200)
    assert.equal(await head.text(), '')
  })

  /** The status of an answer to a request for this host. */
  const statusFor = async (host: string, path = '/status'): Promise<number | undefined> => {
    const asking = request({ host: '127.0.0.1', port: server.port, path, headers: { host } }).end()
    const [response] = await once(asking, 'response') as [{ statusCode: number; resume(): void }]
    response.resume()
    return response.statusCode
  }

  it('refuses a web page whose own name leads here, on every path', async () => {
    for (const path of ['/', '/host', '/events', '/cluster', '/page.js']) {
      assert.equal(await statusFor('evil.example', path), 421, path)
    }
    for (const host of ['evil.example', `evil.example:${server.port}`, '10.0.0.1', 'localhost.evil.example', 'a b']) {
      assert.equal(await statusFor(host), 421, host)
    }
    for (const host of ['localhost', `LOCALHOST:${server.port}`, '127.0.0.1', '[::1]:80', 'web.localhost']) {
      assert.equal(await statusFor(host), 200, host)
    }
  })

  it('answers however many say nothing, or never finish asking', async () => {
    const silent: Socket[] = []
    try {
      for (let count = 0; count < 200; count += 1) {
        const socket = connect(server.port, '127.0.0.1')
        socket.on('error', () => {})
        silent.push(socket.resume())
        await once(socket, 'connect')
        if (count % 2 === 0) socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n')
      }
      const askedAt = performance.now()
      assert.equal((await get('/metrics')).status, 200)
      assert.ok(performance.now() - askedAt < 5_000)
      // Whoever still has a place loses it soon.
      await Promise.all(silent.filter((socket) => !socket.closed).map((socket) => once(socket, 'close')))
    } finally {
      for (const socket of silent) socket.destroy()
    }
  }).timeout(40_000)

  it('says so when the agent fails it', async () => {
    const failing = new FakeAgent()
    failing.metrics = () => Promise.reject(new Error('no'))
    const other = serverOf(failing)
    await other.start()
    assert.equal((await fetch(`http://127.0.0.1:${other.port}/metrics`)).status, 500)
    await other.stop()
  })

  it('cannot start where another listens', async () => {
    const second = serverOf(agent, `127.0.0.1:${server.port}`)
    await assert.rejects(second.start(), { code: 'http-unusable', message: /EADDRINUSE/ })
    await second.stop()
  })
})
