import type { Socket } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'

/**
 * TLS 1.3 with a pre-shared key and no certificates. The key schedule proves the key at both ends, over a key agreement
 * of its own: whoever learns the key later cannot read what was sent. OpenSSL compares in constant time.
 *
 * With OpenSSL's callback for such keys only suites over SHA-256 work; of these AES has hardware support.
 */
const TLS_OPTIONS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
} as const
/** How long the end that was dialed waits for the handshake, ms; the dialer waits longer. */
const ACCEPTED_MS_MAX = 5_000

export interface PresharedKey {
  /** Names the key, in clear. */
  id: string
  /** 32 secret random bytes. */
  key: Uint8Array
}

/**
 * TLS at the dialed end, which has shown nothing when the dialer has proved the key. `use` is called before anything
 * that the dialer sends is read. A TLS server of its own for this one connection reports errors in the usual ways.
 */
export function acceptPreshared<Used>(
  socket: Socket, { id, key }: PresharedKey, use: (duplex: TLSSocket) => Used,
): Promise<Used> {
  return new Promise((resolve, reject) => {
    const server = createServer({
      ...TLS_OPTIONS, handshakeTimeout: ACCEPTED_MS_MAX,
      pskCallback: (_, shown) => (shown === id ? Buffer.from(key) : null),
    })
    server.on('secureConnection', (duplex) => resolve(use(duplex)))
    server.on('tlsClientError', reject)
    // A socket that is already closed emits no more events.
    if (socket.destroyed) reject(new Error('the other end closed the connection'))
    else server.emit('connection', socket)
  })
}

/** TLS as the end that dialed. The other end has proved the key when `use` is called. */
export function provePreshared<Used>(
  socket: Socket, { id, key }: PresharedKey, use: (duplex: TLSSocket) => Used,
): Promise<Used> {
  return new Promise((resolve, reject) => {
    const duplex = connect({
      ...TLS_OPTIONS, socket,
      pskCallback: () => ({ psk: key, identity: id }),
      // Only called if the other end shows a certificate instead of proving the key. It may be a valid one: anybody can
      // have one for some name.
      checkServerIdentity: () => new CertificateShownError(),
    })
    let why: Error | undefined
    for (const end of [socket, duplex]) end.on('error', (error: Error) => { why ??= error })
    duplex.once('secureConnect', () => resolve(use(duplex)))
    // After it is open, this rejection has no effect.
    duplex.once('close', () => reject(why ?? new Error('the other end closed the connection')))
  })
}

export class CertificateShownError extends Error {
  override readonly name = 'CertificateShownError'

  constructor() {
    super('the other end showed a certificate and did not prove the key')
  }
}
