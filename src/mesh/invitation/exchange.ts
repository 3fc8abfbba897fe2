/**
 * How a new host gets the cluster key from a host of the cluster that invited it.
 *
 * Goals: each end proves the token to the other before it tells anything; a token that is seen later opens nothing that
 * was sent; one that is used, expired or wrong is refused, and its holder learns why. Non-goals: a token that people
 * can remember (it has 256 random bits, so that nobody can guess it, on-line or off-line); a proof of which host the
 * newcomer is: whoever has the token is the newcomer.
 *
 *   newcomer                                       host of the cluster, its lane port
 *     preamble: magic, the invitation's id, in clear  --->   unknown: closed, a stranger
 *     TLS 1.3, pre-shared key = the token's secret   <-->    wrong: a TLS alert
 *     hello = {version: 1, name}                      --->
 *                                                    <---    answer = {version: 1, key, host, meshPort}
 *                                                                   | {version: 1, refused: why}
 *                                                            while the key is rotated also {other, isOtherUsed}
 *
 * Both are one line of JSON. The newcomer compares the key with the mark in the token: who stole a token can get the
 * key, but cannot give a false one. The other key of a rotation has no mark: who gives it has shown that it holds the
 * first, so it is a member of the cluster.
 */
import type { TLSSocket } from 'node:tls'

import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'

import { LineCutter } from '../../bytes/linecutter.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { parseJson } from '../../text/json.ts'
import { isHostName } from '../hostname.ts'
import type { ToldRefusal } from './invitations.ts'

const VERSION = 1
/** The longest line of either side, bytes. */
const LINE_BYTES_MAX = 1_024
/** 32 bytes: the last character has two bits that mean nothing. */
const KEY_FORM = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/
/** Refusals that the holder of a token is told. */
const TOLD: readonly ToldRefusal[] = ['used', 'expired', 'name-taken', 'malformed']

/** What a newcomer gets: the key that its token has the mark of and, while keys are rotated, the other one. */
export interface GivenKeys {
  clusterKey: Uint8Array
  /** `isUsed`: this one is used, and the first is only accepted. */
  other?: { clusterKey: Uint8Array; isUsed: boolean }
}

export interface Welcome extends GivenKeys {
  /** Name of the host that answers. */
  host: string
  /** Where it listens for the mesh. */
  meshPort: number
}

export function encodeHello(name: string): string {
  return `${JSON.stringify({ version: VERSION, name })}\n`
}

/** The newcomer's name. Throws PagemeshError `bad-question`. */
export function decodeHello(line: string): string {
  const { version, name } = fieldsOf(line) ?? {}
  if (version === VERSION && typeof name === 'string' && isHostName(name)) return name
  throw new PagemeshError('bad-question', 'What a newcomer says cannot be read.', { fault: 'peer' })
}

export function encodeWelcome({ clusterKey, other, host, meshPort }: Welcome): string {
  const more = other === undefined
    ? {} : { other: toString(other.clusterKey, 'base64url'), isOtherUsed: other.isUsed }
  return `${JSON.stringify({ version: VERSION, key: toString(clusterKey, 'base64url'), ...more, host, meshPort })}\n`
}

export function encodeRefusal(refused: ToldRefusal): string {
  return `${JSON.stringify({ version: VERSION, refused })}\n`
}

/** Throws PagemeshError `bad-answer`. */
export function decodeAnswer(line: string): Welcome | ToldRefusal {
  const { version, refused, key, other, isOtherUsed, host, meshPort } = fieldsOf(line) ?? {}
  const told = TOLD.find((why) => why === refused)
  if (version === VERSION && told !== undefined) return told
  const isWelcome = version === VERSION && isKey(key) && typeof host === 'string' && isHostName(host)
  if (isWelcome && isPort(meshPort)) {
    const welcome = { clusterKey: fromString(key, 'base64url'), host, meshPort }
    if (other === undefined) return welcome
    if (isKey(other) && other !== key && typeof isOtherUsed === 'boolean') {
      return { ...welcome, other: { clusterKey: fromString(other, 'base64url'), isUsed: isOtherUsed } }
    }
  }
  throw new PagemeshError('bad-answer', 'What the host of the cluster answers cannot be read.', {
    fault: 'peer', advice: 'Check that it runs the same version of Pagemesh.',
  })
}

/** The first line that comes. Rejects if the other end closes before, or sends a longer one. */
export function readLine(duplex: TLSSocket): Promise<string> {
  const cutter = new LineCutter(LINE_BYTES_MAX)
  return new Promise((resolve, reject) => {
    duplex.on('data', (bytes: Buffer) => {
      const lines = cutter.push(bytes)
      if (lines === 'too-long') duplex.destroy(new Error('the other end sent too much'))
      else if (lines[0] !== undefined) resolve(lines[0])
    })
    duplex.once('error', reject)
    duplex.once('close', () => reject(new Error('the other end closed the connection')))
    duplex.once('end', () => reject(new Error('the other end ended the connection')))
  })
}

function fieldsOf(line: string): Record<string, unknown> | undefined {
  const value = parseJson(line)
  return typeof value === 'object' && value !== null ? value as Record<string, unknown> : undefined
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && KEY_FORM.test(value)
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 65_535
}
