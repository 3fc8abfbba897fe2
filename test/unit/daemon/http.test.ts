import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'

import { createStatusServer, type StatusServer } from '../../../src/daemon/http.ts'
import { renderStatusPage } from '../../../src/daemon/statuspage.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { FakeAgent, HELD, STATUS } from '../../support/fakeagent.ts'

describe('the status server', () => {
  const agent = new FakeAgent()
  let server: StatusServer

  beforeEach(async () => {
    server = createStatusServer({ agent, log: silentLog, metrics: () => agent.metrics() }, { address: '127.0.0.1:0' })
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

  it('serves a page that refreshes, takes nothing from elsewhere and escapes names', async () => {
    const response = await get('/')
    const page = await response.text()
    assert.match(response.headers.get('content-type') ?? '', /^text\/html/)
    assert.match(page, /<meta http-equiv="refresh"/)
    assert.match(page, /<td>web&#60;1&#62;<\/td>/)
    assert.match(page, /host-b/)
    assert.doesNotMatch(page, /https?:\/\/|<script|<link|src=/)
  })

  it('shows guests that are held, why, and what to do, and lets no name change the page', () => {
    assert.match(renderStatusPage(STATUS), /<h2>Held<\/h2>\n<p>None/)
    const page = renderStatusPage({ ...STATUS, held: [{ ...HELD, guest: '<db>\u202E1' }] })
    const cells = [
      '&#60;db&#62;\\u202e1', 'host-c', '5 min', HELD.why, HELD.otherCopy,
      'Look at the copy on host-c, then decide here: pagemesh settle &#60;db&#62;\\u202e1 --run or --end',
    ]
    assert.ok(page.includes(`<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`), page)
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
  const statusFor = async (host: string): Promise<number | undefined> => {
    const asking = request({ host: '127.0.0.1', port: server.port, path: '/status', headers: { host } }).end()
    const [response] = await once(asking, 'response') as [{ statusCode: number; resume(): void }]
    response.resume()
    return response.statusCode
  }

  it('refuses a web page whose own name leads here, on every path', async () => {
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
    const metrics = () => failing.metrics()
    const other = createStatusServer({ agent: failing, log: silentLog, metrics }, { address: '127.0.0.1:0' })
    await other.start()
    assert.equal((await fetch(`http://127.0.0.1:${other.port}/metrics`)).status, 500)
    await other.stop()
  })

  it('cannot start where another listens', async () => {
    const [metrics, address] = [() => agent.metrics(), `127.0.0.1:${server.port}`]
    const second = createStatusServer({ agent, log: silentLog, metrics }, { address })
    await assert.rejects(second.start(), { code: 'http-unusable', message: /EADDRINUSE/ })
    await second.stop()
  })
})
