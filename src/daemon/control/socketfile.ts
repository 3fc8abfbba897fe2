import type { Server } from 'node:net'

import { listenAt, requireUntaken, type SocketFile } from '../../host/socketfile.ts'

const CONTROL = {
  use: 'control socket', other: 'agent', codes: { taken: 'agent-running', unusable: 'control-unusable' },
} as const

/** Throws PagemeshError `agent-running` if an agent answers at the path, `control-unusable` if the path is taken. */
export async function requireNoAgent(path: string): Promise<void> {
  await requireUntaken({ path, ...CONTROL })
}

/** Makes `server` listen at `path`, for this user alone. Throws as `requireNoAgent` does, and `directory-exposed`. */
export async function listenForCommands(server: Server, path: string): Promise<SocketFile> {
  return await listenAt(server, { path, mode: 0o600, ...CONTROL })
}
