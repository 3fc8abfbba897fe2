/**
 * What the first bytes of a connection tell about it. Pure.
 *
 *   QEVM ...                            a migration begins: its main channel
 *   11223344 00000001 uuid[16] ...      a multifd channel of the domain with this uuid
 *   08 000a | 08 0009 ...               an interrupted post-copy is resumed: RECV_BITMAP, or POSTCOPY_RESUME
 *   anything else                       urgent pages of a post-copy, TLS, NBD, ...
 */
export type Beginning = { kind: 'main' } | { kind: 'resumed' } | { kind: 'other' } | { kind: 'multifd'; uuid: string }

const MAIN = 0x5145564d
const MULTIFD = 0x11223344
const MULTIFD_VERSION = 1
const COMMAND = 0x08
const POSTCOPY_RESUME = 0x0009
const RECEIVED_BITMAP = 0x000a
const UUID_AT = 8
const UUID_BYTES = 16

export function beginningOf(first: Buffer | undefined): Beginning {
  if (first === undefined || first.length < 4) return { kind: 'other' }
  const magic = first.readUInt32BE(0)
  if (magic === MAIN) return { kind: 'main' }
  if (magic === MULTIFD && first.length >= UUID_AT + UUID_BYTES && first.readUInt32BE(4) === MULTIFD_VERSION) {
    return { kind: 'multifd', uuid: first.toString('hex', UUID_AT, UUID_AT + UUID_BYTES) }
  }
  const command = first.readUInt16BE(1)
  const isResumed = first[0] === COMMAND && (command === RECEIVED_BITMAP || command === POSTCOPY_RESUME)
  return isResumed ? { kind: 'resumed' } : { kind: 'other' }
}
