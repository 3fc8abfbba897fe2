import { createServer, type Server, type Socket } from 'node:net'

import type { SocketFile } from '../../host/socketfile.ts'
import type { Agent } from '../../index.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { Seats } from '../seats.ts'
import { createRequestHandler } from './commands.ts'
import { CONTROL_LIMITS } from './protocol.ts'
import { ControlSession } from './session.ts'
import { listenForCommands } from './socketfile.ts'

export interface ControlServer {
  /** Throws PagemeshError `agent-running` or `control-unusable`. */
  start(): Promise<void>
  /** Waits for running requests' answers, hangs up and removes the socket file. Idempotent. */
  stop(): Promise<void>
}

/** How long a client may take to read its last answer when the agent stops. */
const FAREWELL_MS = 1000

/** The agent's end of the control socket at `path`. */
export function createControlServer(
  components: { agent: Agent; clock: Clock; log: Log; metrics: () => Promise<string> }, init: { path: string },
): ControlServer {
  const { clock, log } = components
  const handle = createRequestHandler(components)
  const sessions = new Set<ControlSession>()
  const seats = new Seats<Socket>({ seatsMax: CONTROL_LIMITS.connectionsMax })
  const server: Server = createServer((socket) => {
    if (!seats.seat(socket)) return
    const session = new ControlSession({
      socket, log,
      handle: async (request, about) => {
        const end = seats.begin(socket)
        return handle(request, about).finally(end)
      },
    })
    sessions.add(session)
    socket.once('close', () => sessions.delete(session))
  })
  let file: SocketFile | undefined

  return {
    async start() {
      file = await listenForCommands(server, init.path)
      log.info('control socket open', { path: init.path })
    },
    async stop() {
      await file?.remove()
      file = undefined
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const late = clock.after(FAREWELL_MS, () => sessions.forEach((session) => session.destroy()))
      // Never rejects; `closed` waits for all of them, and `late` for those that take too long.
      for (const session of sessions) void session.close()
      await closed
      late.cancel()
    },
  }
}
