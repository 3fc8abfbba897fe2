/**
 * A process on a host of the lab that carries out its parent's requests, one line of JSON each, and answers in the same
 * form. It plays the waiting QEMU (`echo`), the manager that dials (`dial`), or the agent (`intercept`, and `relay` at
 * the other side).
 */
import { once } from 'node:events'
import { connect, createServer, Socket, type Server } from 'node:net'
import { createInterface } from 'node:readline'

import { createSocketEndpoint } from '../../src/guest/index.ts'
import { Interception, type Carry } from '../../src/intercept/index.ts'
import { splice } from '../../src/intercept/splice.ts'
import { formatHostPort, parseHostPort } from '../../src/net/hostport.ts'
import type { PortRange } from '../../src/net/portranges.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createLog } from '../../src/runtime/log.ts'

/** The relay port of these tests, which is not intercepted. */
const RELAY_PORT = 7000

export interface Request {
  act: 'echo' | 'dial' | 'say' | 'close' | 'bind' | 'intercept' | 'members' | 'status' | 'relay'
  host?: string
  port?: number
  text?: string
  id?: number
  members?: { name: string; address: string }[]
  ports?: PortRange[]
  /** Whether the relay answers and accepts; hung: it never answers. */
  relay?: 'there' | 'refuses'
}

const servers: Server[] = []
const sockets = new Map<number, Socket>()
let interception: Interception | undefined
let members: Request['members'] = []
let relay: Request['relay'] = 'there'

/** Sends the address of the other end, then echoes everything with a mark. */
async function echo({ host = '::', port = 0, text = '' }: Request): Promise<string> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.write(`${text} ${(socket.remoteAddress ?? '').replace('::ffff:', '')}\n`)
    socket.on('data', (bytes) => socket.write(bytes))
    socket.on('end', () => socket.end('bye\n'))
  })
  servers.push(server)
  await once(server.listen(port, host), 'listening')
  return 'listening'
}

async function dial({ host = '', port = 0, id = 0 }: Request): Promise<string> {
  const socket = connect({ host, port, allowHalfOpen: true })
  sockets.set(id, socket)
  socket.setEncoding('utf8')
  socket.on('error', () => {})
  return await next(socket)
}

/** The next bytes; `closed` if the socket ends. */
function next(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const done = (text: string): void => {
      socket.off('data', done)
      socket.off('close', close)
      socket.off('end', close)
      resolve(text.trim())
    }
    const close = (): void => done('closed')
    socket.on('data', done)
    socket.on('close', close)
    socket.on('end', close)
  })
}

async function say({ id = 0, text = '' }: Request): Promise<string> {
  const socket = sockets.get(id)!
  if (socket.destroyed) return 'closed'
  const answer = next(socket)
  socket.write(text)
  return await answer
}

async function close({ id = 0 }: Request): Promise<string> {
  const socket = sockets.get(id)!
  const answer = next(socket)
  socket.end()
  return await answer
}

/** Whether a manager can listen there, which is how libvirt looks for a free port. */
async function bind({ host = '::', port = 0 }: Request): Promise<string> {
  const server = createServer()
  try {
    await once(server.listen(port, host), 'listening')
    return 'free'
  } catch (error) {
    return String((error as { code?: string }).code)
  } finally {
    server.close()
  }
}

/** The destination's side of the relay: a client sends the address to dial in a line. */
async function serveRelay(): Promise<string> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {})
    socket.once('readable', () => {
      const line = String(socket.read(64))
      const there = connect({ ...parseHostPort(line.trim())!, allowHalfOpen: true })
      there.on('error', () => socket.destroy())
      socket.pipe(there).pipe(socket)
    })
  })
  servers.push(server)
  await once(server.listen(RELAY_PORT, '::'), 'listening')
  return 'listening'
}

const carry: Carry = async ({ endpoint, address }) => {
  if (relay === 'refuses') return endpoint
  const there = new Socket({ allowHalfOpen: true })
  there.pause()
  there.connect(RELAY_PORT, address.host)
  const isThere = await new Promise<boolean>((resolve) => {
    there.on('error', () => resolve(false))
    there.once('connect', () => there.write(formatHostPort(address).padEnd(64), () => resolve(true)))
  })
  if (!isThere) return endpoint
  void splice(endpoint, createSocketEndpoint(there))
  return undefined
}

async function intercept(request: Request): Promise<string> {
  members = request.members ?? []
  interception = new Interception({
    clock: systemClock, log: createLog('warn'), carry,
    members: () => (members ?? []).map((member) => ({ ...member, agentPorts: [] })),
    ownAddresses: () => [],
  }, { ports: request.ports ?? [] })
  interception.start()
  return 'started'
}

async function answer(request: Request): Promise<unknown> {
  if (request.relay !== undefined) relay = request.relay
  switch (request.act) {
    case 'echo': return await echo(request)
    case 'dial': return await dial(request)
    case 'say': return await say(request)
    case 'close': return await close(request)
    case 'bind': return await bind(request)
    case 'relay': return await serveRelay()
    case 'intercept': return await intercept(request)
    case 'members':
      members = request.members ?? members
      interception?.refresh()
      return interception?.status
    case 'status': return interception?.status
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { number, ...request } = JSON.parse(line) as Request & { number: number }
  void answer(request).then((value) => process.stdout.write(`${JSON.stringify({ number, value })}\n`))
}).on('close', () => process.exit())
