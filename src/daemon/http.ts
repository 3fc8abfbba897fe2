import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { hostname } from 'node:os'

import type { Agent } from '../index.ts'
import { parseHostPort } from '../net/hostport.ts'
import { assert } from '../runtime/assert.ts'
import { describeError, PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { isOwnHost } from './ownhost.ts'
import { Seats } from './seats.ts'
import { renderStatusPage } from './statuspage.ts'

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

interface Components {
  agent: Agent
  log: Log
  /** Of the agent and of its process. */
  metrics: () => Promise<string>
}

interface Page {
  type: string
  body: string
}

/** Serves metrics, status and the status page at `address` (`host:port`), read-only. */
export function createStatusServer(components: Components, init: { address: string }): StatusServer {
  const { log } = components
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
    answer(components, listenAddress.host, request, response).catch((error: unknown) => {
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
      if (!server.listening) return
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function answer(
  components: Components, listenHost: string, request: IncomingMessage, response: ServerResponse,
): Promise<void> {
  const { host } = request.headers
  if (host !== undefined && !isOwnHost(host, { listenHost, names: [hostname(), components.agent.status().host] })) {
    send(response, 421, { type: 'text/plain', body: 'Ask for this host by its address, or by its own name.\n' })
    return
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    send(response, 405, { type: 'text/plain', body: 'Only GET.\n' })
    return
  }
  const page = await pageAt(components, (request.url ?? '/').split('?', 1)[0] ?? '/')
  if (page === undefined) send(response, 404, { type: 'text/plain', body: 'There is /, /status and /metrics.\n' })
  else send(response, 200, page)
}

async function pageAt({ agent, metrics }: Components, path: string): Promise<Page | undefined> {
  switch (path) {
    case '/':
      return { type: 'text/html', body: renderStatusPage(agent.status()) }
    case '/status':
      return { type: 'application/json', body: `${JSON.stringify(agent.status())}\n` }
    case '/metrics':
      return { type: 'text/plain; version=0.0.4', body: await metrics() }
    default:
      return undefined
  }
}

function send(response: ServerResponse, status: number, { type, body }: Page): void {
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'content-security-policy': 'default-src \'none\'; style-src \'unsafe-inline\'; frame-ancestors \'none\'',
    'x-content-type-options': 'nosniff',
  })
  response.end(body)
}

function unusable(address: string, cause: unknown): PagemeshError {
  const code = systemErrorCode(cause) ?? 'unknown cause'
  return new PagemeshError('http-unusable', `The status page cannot listen at ${address} (${code}).`, {
    fault: 'host', phase: 'start', cause, data: { address }, advice: 'Free the port, or set another `http` address.',
  })
}
