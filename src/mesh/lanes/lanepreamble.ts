/**
 * What the dialer of a lane sends in clear before TLS.
 *
 *   preamble = magic id;  magic = "pmlane1\n";  id = the ticket's, 16 bytes
 */
const MAGIC = Buffer.from('pmlane1\n')
const ID_BYTES = 16

export const PREAMBLE_BYTES = MAGIC.length + ID_BYTES

/** @param id 16 bytes as hex. */
export function encodePreamble(id: string): Buffer {
  return Buffer.concat([MAGIC, Buffer.from(id, 'hex')])
}

/** The id as hex, or undefined if this is no preamble. */
export function decodePreamble(bytes: Buffer): string | undefined {
  if (bytes.length !== PREAMBLE_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  return bytes.toString('hex', MAGIC.length)
}
