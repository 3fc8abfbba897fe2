import assert from 'node:assert/strict'

import { createStatusServer, type StatusServer } from '../../../src/daemon/http.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { renderStatusPage } from '../../../src/daemon/statuspage.ts'
import { FakeAgent, HELD, STATUS } from './fakeagent.ts'

describe('the status server', () => {
  const agent = new FakeAgent()
  let server: StatusServer

  beforeEach(async () => {
    server = createStatusServer({ agent, log: silentLog }, { address: '127.0.0.1:0' })
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

  it('says so when the agent fails it', async () => {
    const failing = new FakeAgent()
    failing.metrics = () => Promise.reject(new Error('no'))
    const other = createStatusServer({ agent: failing, log: silentLog }, { address: '127.0.0.1:0' })
    await other.start()
    assert.equal((await fetch(`http://127.0.0.1:${other.port}/metrics`)).status, 500)
    await other.stop()
  })

  it('cannot start where another listens', async () => {
    const second = createStatusServer({ agent, log: silentLog }, { address: `127.0.0.1:${server.port}` })
    await assert.rejects(second.start(), { code: 'http-unusable', message: /EADDRINUSE/ })
    await second.stop()
  })
})
