import { timingSafeEqual } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

import { plainAddress } from '../../net/addresses.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError, systemErrorCode } from '../../runtime/errors.ts'
import { withDeadline } from '../../runtime/wait.ts'
import { checkHostName } from '../hostname.ts'
import { parseLaneAddress } from '../lanes/laneaddress.ts'
import { encodePreamble } from '../lanes/lanepreamble.ts'
import { CertificateShownError, provePreshared } from '../lanes/presharedtls.ts'
import { decodeAnswer, encodeHello, readLine, type Welcome } from './exchange.ts'
import type { ToldRefusal } from './invitations.ts'
import { decodeToken, markOf, type Token } from './token.ts'

/** From the first packet to the answer, ms. */
const JOIN_MS_MAX = 20_000

export interface JoinRequest {
  /** `host:port` of the host that made the invitation, as `pagemesh invite` says it. */
  address: string
  token: string
  /** This host's name. */
  name: string
  signal: AbortSignal
}

/** The host that answered, the cluster key, and how this host is reached from there. */
export interface JoinedCluster extends Welcome {
  /** The address by which this host reached it. */
  ownHost: string
}

/**
 * Gets the cluster key with a token: the newcomer's end of `exchange.ts`. Throws PagemeshError `token-malformed`,
 * `address-malformed`, `host-name-invalid`, `join-unreachable`, `join-false`, `join-broken`, `token-unknown`,
 * `token-wrong`, `token-used`, `token-expired`, `name-taken`, `bad-answer`, or the signal's reason. None holds the
 * token.
 */
export async function joinCluster(components: { clock: Clock }, request: JoinRequest): Promise<JoinedCluster> {
  const { address, name, signal } = request
  const token = decodeToken(request.token)
  const { host, port } = parseLaneAddress(address)
  checkHostName(name)
  const late = (): Error => unreachable(address, new Error(`no answer within ${JOIN_MS_MAX / 1000} s`))
  return await withDeadline(components.clock, { signal, limitMs: JOIN_MS_MAX, late }, async (within) => {
    const socket = connect({ host, port })
    const abort = (): void => { socket.destroy() }
    within.addEventListener('abort', abort, { once: true })
    try {
      within.throwIfAborted()
      return await converse(socket, { address, token, name })
    } catch (error) {
      within.throwIfAborted()
      throw error
    } finally {
      within.removeEventListener('abort', abort)
      socket.destroy()
    }
  })
}

async function converse(
  socket: Socket, { address, token, name }: { address: string; token: Token; name: string },
): Promise<JoinedCluster> {
  await shown(socket, address, token)
  const duplex = await proved(socket, address, token)
  const ownHost = plainAddress(socket.localAddress ?? '') ?? ''
  let line: string
  try {
    duplex.write(encodeHello(name))
    line = await readLine(duplex)
  } catch (error) {
    throw broken(address, error)
  }
  const answer = decodeAnswer(line)
  if (typeof answer === 'string') throw refused(answer, { address, name })
  if (!timingSafeEqual(markOf(answer.clusterKey), token.mark)) throw isFalse(address)
  return { ...answer, ownHost }
}

/** Connects and names the invitation. */
async function shown(socket: Socket, address: string, { id }: Token): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject)
      socket.once('close', () => reject(new Error('the other end closed the connection')))
      // Nothing may be queued when TLS begins.
      socket.once('connect', () => socket.write(encodePreamble('join', id), () => resolve()))
    })
  } catch (error) {
    throw unreachable(address, error)
  }
}

async function proved(socket: Socket, address: string, { id, secret }: Token): Promise<TLSSocket> {
  // A socket that is already closed emits no more events.
  if (socket.destroyed) throw unknown(address)
  try {
    // Errors of an open connection show as its close.
    return await provePreshared(socket, { id, key: secret }, (duplex) => duplex.on('error', () => {}))
  } catch (error) {
    const code = systemErrorCode(error) ?? ''
    if (code.includes('ALERT')) throw wrong(address, error)
    if (code.startsWith('ERR_SSL') || error instanceof CertificateShownError) throw isFalse(address, error)
    throw unknown(address, error)
  }
}

function unreachable(address: string, cause: unknown): PagemeshError {
  return new PagemeshError('join-unreachable', `${address} cannot be reached, or does not answer.`, {
    fault: 'network', data: { address }, cause,
    advice: 'Check the address that `pagemesh invite` printed, its agent, and the firewalls between.',
  })
}

function unknown(address: string, cause?: unknown): PagemeshError {
  return new PagemeshError('token-unknown', `${address} hung up: it knows no such invitation.`, {
    fault: 'peer', data: { address }, ...(cause === undefined ? {} : { cause }),
    advice: 'Only the agent that made a token takes it, until it is restarted, and few tries a minute. ' +
      'Make a new one there with `pagemesh invite`.',
  })
}

function wrong(address: string, cause: unknown): PagemeshError {
  return new PagemeshError('token-wrong', `${address} refused the token: it is not as it was made.`, {
    fault: 'peer', data: { address }, cause, advice: 'Copy it again, whole. If it still fails, make a new one.',
  })
}

/** Nothing was told to it but the invitation's number. */
function isFalse(address: string, cause?: unknown): PagemeshError {
  const message = `What answers at ${address} did not prove that it belongs to the cluster: nothing was taken from it.`
  return new PagemeshError('join-false', message, {
    fault: 'peer', data: { address }, ...(cause === undefined ? {} : { cause }),
    advice: 'Something else listens there, or stands between. Check the address before you try again.',
  })
}

function broken(address: string, cause: unknown): PagemeshError {
  return new PagemeshError('join-broken', `The connection to ${address} broke before the answer came.`, {
    fault: 'network', data: { address }, cause,
    advice: 'The token may be used up: if it is refused now, make a new one with `pagemesh invite`.',
  })
}

function refused(why: ToldRefusal, { address, name }: { address: string; name: string }): PagemeshError {
  const data = { address }
  switch (why) {
    case 'used':
      return new PagemeshError('token-used', 'The token has been used already.', {
        fault: 'peer', data,
        advice: 'See `pagemesh history --audit` there. If it was not you, somebody else has the cluster key: ' +
          'make a new one for all hosts. Otherwise make a new token with `pagemesh invite`.',
      })
    case 'expired':
      return new PagemeshError('token-expired', 'The token has expired.', {
        fault: 'peer', data, advice: 'Make a new one with `pagemesh invite`, with a longer --ttl if need be.',
      })
    case 'name-taken':
      return new PagemeshError('name-taken', `A host named ${name} is in the mesh already.`, {
        fault: 'peer', data: { ...data, name },
        advice: 'Give this host another name with --name. The token is still good.',
      })
    case 'malformed':
      return new PagemeshError('refused-there', `${address} could not read what this host said.`, {
        fault: 'peer', data, advice: 'Check that both hosts run the same version of Pagemesh.',
      })
  }
}
