import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { hostname } from 'node:os'

import type { Agent, Clock } from '../index.ts'
import { parseHostPort } from '../net/hostport.ts'
import { assert } from '../runtime/assert.ts'
import { describeError, PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { isOwnHost } from './ownhost.ts'
import { LIVE_MAX, LiveSections } from './page/live.ts'
import { EVENTS, Pages } from './page/pages.ts'
import { SCRIPT } from './page/script.ts'
import { ICON, STYLE } from './page/style.ts'
import { Seats } from './seats.ts'

export interface StatusServer {
  /** Throws PagemeshError `http-unusable`. */
  start(): Promise<void>
  /** Idempotent. */
  stop(): Promise<void>
  /** The port that it listens on; differs from the configuration if that says 0. */
  readonly port: number
}

/** Requests have no body and answers are small: a client that takes longer is not reading. */
const LIMITS = {
  connectionsMax: 64,
  headerBytesMax: 8 * 1024,
  requestMs: 5000,
  /** Interval of Node's check for timed-out connections. */
  lookMs: 1000,
  idleMs: 5000,
  socketMs: 15_000,
}

/** Scripts, styles and all else are files of this server: nothing inline, nothing from elsewhere. */
const POLICY = 'default-src \'none\'; script-src \'self\'; style-src \'self\'; img-src \'self\'; ' +
  'connect-src \'self\'; base-uri \'none\'; form-action \'none\'; frame-ancestors \'none\''

interface Components {
  agent: Agent
  clock: Clock
  log: Log
  /** Of the agent and of its process. */
  metrics: () => Promise<string>
}

interface Served extends Components {
  pages: Pages
  /** By the path that browsers subscribe to. */
  live: ReadonlyMap<string, LiveSections>
}

interface Page {
  type: string
  body: string
}

/** Serves metrics, status and the page of the cluster at `address` (`host:port`), read-only. */
export function createStatusServer(components: Components, init: { address: string }): StatusServer {
  const { log } = components
  const pages = new Pages(components)
  const live = new Map([
    [EVENTS.cluster as string, new LiveSections(components, { draw: () => pages.clusterSections() })],
    [EVENTS.host, new LiveSections(components, { draw: () => pages.hostSections() })],
  ])
  const listenAddress = parseHostPort(init.address)
  assert(listenAddress !== undefined, 'the configuration has checked the address')
  const seats = new Seats<Socket>({ seatsMax: LIMITS.connectionsMax })
  const server = createServer({
    maxHeaderSize: LIMITS.headerBytesMax,
    headersTimeout: LIMITS.requestMs,
    requestTimeout: LIMITS.requestMs,
    connectionsCheckingInterval: LIMITS.lookMs,
    keepAliveTimeout: LIMITS.idleMs,
  }, (request, response) => {
    response.once('close', seats.begin(request.socket))
    answer({ ...components, pages, live }, listenAddress.host, request, response).catch((error: unknown) => {
      log.error('a status request failed', { path: request.url, error: describeError(error) })
      if (!response.headersSent) send(response, 500, { type: 'text/plain', body: 'See the log of the agent.\n' })
      else response.destroy()
    })
  })
  server.on('connection', (socket: Socket) => { seats.seat(socket) })
  server.setTimeout(LIMITS.socketMs, (socket) => socket.destroy())

  return {
    get port() {
      const bound = server.address()
      return typeof bound === 'object' && bound !== null ? bound.port : listenAddress.port
    },
    async start() {
      await new Promise<void>((resolve, reject) => {
        server.once('error', (cause) => reject(unusable(init.address, cause)))
        server.listen(listenAddress, resolve)
      })
      server.removeAllListeners('error')
      server.on('error', (error) => log.error('status server failed', { error: error.message }))
      log.info('status page open', { address: init.address, port: this.port })
    },
    async stop() {
      for (const sections of live.values()) sections.stop()
      if (!server.listening) return
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function answer(
  served: Served, listenHost: string, request: IncomingMessage, response: ServerResponse,
): Promise<void> {
  const { host } = request.headers
  if (host !== undefined && !isOwnHost(host, { listenHost, names: [hostname(), served.agent.status().host] })) {
    send(response, 421, { type: 'text/plain', body: 'Ask for this host by its address, or by its own name.\n' })
    return
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    send(response, 405, { type: 'text/plain', body: 'Only GET.\n' })
    return
  }
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  const live = served.live.get(path)
  if (live !== undefined) {
    follow(live, request, response)
    return
  }
  const page = await pageAt(served, path)
  if (page !== undefined) send(response, 200, page)
  else send(response, 404, { type: 'text/plain', body: 'There is /, /host, /cluster, /status and /metrics.\n' })
}

function follow(live: LiveSections, { method }: IncomingMessage, response: ServerResponse): void {
  if (live.count >= LIVE_MAX) {
    send(response, 503, { type: 'text/plain', body: 'Too many browsers are kept up to date already.\n' })
    return
  }
  response.writeHead(200, headersOf('text/event-stream'))
  if (method === 'HEAD') response.end()
  else live.add(response)
}

async function pageAt({ agent, pages, metrics }: Served, path: string): Promise<Page | undefined> {
  switch (path) {
    case '/':
      return { type: 'text/html', body: await pages.cluster() }
    case '/host':
      return { type: 'text/html', body: pages.host() }
    case '/page.css':
      return { type: 'text/css', body: STYLE }
    case '/page.js':
      return { type: 'text/javascript', body: SCRIPT }
    case '/icon.svg':
      return { type: 'image/svg+xml', body: ICON }
    case '/cluster':
      return { type: 'application/json', body: `${JSON.stringify(await agent.cluster())}\n` }
    case '/status':
      return { type: 'application/json', body: `${JSON.stringify(agent.status())}\n` }
    case '/metrics':
      return { type: 'text/plain; version=0.0.4', body: await metrics() }
    default:
      return undefined
  }
}

function send(response: ServerResponse, status: number, { type, body }: Page): void {
  response.writeHead(status, { ...headersOf(type), 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

function headersOf(type: string): Record<string, string> {
  return {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'no-store',
    'content-security-policy': POLICY,
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  }
}

function unusable(address: string, cause: unknown): PagemeshError {
  const code = systemErrorCode(cause) ?? 'unknown cause'
  return new PagemeshError('http-unusable', `The status page cannot listen at ${address} (${code}).`, {
    fault: 'host', phase: 'start', cause, data: { address }, advice: 'Free the port, or set another `http` address.',
  })
}
