import { connect } from 'node:net'

import type { Clock } from '../runtime/clock.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import { formatHostPort, type HostPort } from './hostport.ts'

/** A try to be connected to an address: why it failed, in the system's word, such as ECONNREFUSED; null: it did not. */
export interface Attempt {
  address: string
  why: string | null
}

/** Connects, says nothing and hangs up. Never rejects. */
export async function tryToConnect(clock: Clock, place: HostPort, limitMs: number): Promise<Attempt> {
  const socket = connect(place)
  const timer = clock.after(limitMs, () => socket.destroy(Object.assign(new Error('too late'), { code: 'ETIMEDOUT' })))
  const why = await new Promise<string | null>((resolve) => {
    socket.once('connect', () => resolve(null)).once('error', (error) => resolve(systemErrorCode(error) ?? 'unknown'))
  })
  timer.cancel()
  socket.destroy()
  return { address: formatHostPort(place), why }
}
