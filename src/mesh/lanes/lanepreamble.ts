/**
 * What whoever dials the lane port sends in clear before TLS.
 *
 *   preamble = magic id;  magic = "pmlane1\n" | "pmjoin1\n";  id = the ticket's or the invitation's, 16 bytes
 */
const MAGIC = { lane: Buffer.from('pmlane1\n'), join: Buffer.from('pmjoin1\n') }
const MAGIC_BYTES = 8
const ID_BYTES = 16

export const PREAMBLE_BYTES = MAGIC_BYTES + ID_BYTES

/** What a connection is for: a lane of a member, or a new host that joins. */
export type PreambleUse = keyof typeof MAGIC

/** @param id 16 bytes as hex. */
export function encodePreamble(use: PreambleUse, id: string): Buffer {
  return Buffer.concat([MAGIC[use], Buffer.from(id, 'hex')])
}

/** The id as hex; undefined if this is no preamble. */
export function decodePreamble(bytes: Buffer): { use: PreambleUse; id: string } | undefined {
  if (bytes.length !== PREAMBLE_BYTES) return undefined
  const magic = bytes.subarray(0, MAGIC_BYTES)
  const use = (['lane', 'join'] as const).find((name) => magic.equals(MAGIC[name]))
  return use === undefined ? undefined : { use, id: bytes.toString('hex', MAGIC_BYTES) }
}
