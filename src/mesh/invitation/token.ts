import { Blake3Hasher } from '@napi-rs/blake-hash'
import { concat } from 'uint8arrays/concat'
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'

import { bufferOver } from '../../bytes/bufferover.ts'
import { PagemeshError } from '../../runtime/errors.ts'

/**
 * What an operator carries from a host of the cluster to a new one.
 *
 *   token = "pmjoin1-" base64url(id secret mark);  id = 16 bytes, secret = 32 bytes, mark = 16 bytes
 */
export interface Token {
  /** Names the invitation; as hex. It is sent in clear, and proves nothing. */
  id: string
  /** Proves to each end that the other one has the token. Never sent. */
  secret: Uint8Array
  /** By which the newcomer knows the cluster key when it gets it. */
  mark: Uint8Array
}

const PREFIX = 'pmjoin1-'
export const TOKEN_BYTES = { id: 16, secret: 32, mark: 16 } as const
/** 64 bytes: the last character has four bits that mean nothing. */
const TOKEN_FORM = /^pmjoin1-[A-Za-z0-9_-]{85}[AQgw]$/
const MARK_CONTEXT = 'pagemesh key 1 cluster mark'

/** The 16 bytes by which a cluster key is recognized. They tell nothing about it. */
export function markOf(clusterKey: Uint8Array): Uint8Array {
  return new Uint8Array(Blake3Hasher.deriveKey(MARK_CONTEXT, bufferOver(clusterKey))).subarray(0, TOKEN_BYTES.mark)
}

export function encodeToken({ id, secret, mark }: Token): string {
  return `${PREFIX}${toString(concat([fromString(id, 'hex'), secret, mark]), 'base64url')}`
}

/** Throws PagemeshError `token-malformed`, which does not repeat the text. */
export function decodeToken(text: string): Token {
  if (!TOKEN_FORM.test(text)) {
    throw new PagemeshError('token-malformed', 'This is no whole token.', {
      fault: 'usage', advice: 'Copy all of the line that `pagemesh invite` printed: it begins with pmjoin1-.',
    })
  }
  const bytes = fromString(text.slice(PREFIX.length), 'base64url')
  const secretEnd = TOKEN_BYTES.id + TOKEN_BYTES.secret
  return {
    id: toString(bytes.subarray(0, TOKEN_BYTES.id), 'hex'),
    secret: bytes.slice(TOKEN_BYTES.id, secretEnd),
    mark: bytes.slice(secretEnd),
  }
}
