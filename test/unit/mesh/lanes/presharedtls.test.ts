import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer as createPlainServer, type AddressInfo } from 'node:net'
import { createServer, getCACertificates, setDefaultCACertificates, type TlsOptions } from 'node:tls'

import { acceptPreshared, provePreshared } from '../../../../src/mesh/lanes/presharedtls.ts'

/** A certificate for localhost until 2126, and its key, which is no secret: made for this test. */
const CERTIFICATE = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMAxUuX+PXejWnlGJ
jRmvQ2+PCGEvPYVuO6ud/JsrjrqhRANCAAQDtjw1RKZC/IbNe46S0XE7fWBimTVQ
oI7eSLM9OsagJAcMQF3bNom5KhoD7GsN5ud1g/4aRLTP9WXpQg2tO86H
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBfjCCASWgAwIBAgIUJVFL/ULegsROg20N2O5Bf3vBgPMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzE5MjI1MloYDzIxMjYxMTAz
MTkyMjUyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQDtjw1RKZC/IbNe46S0XE7fWBimTVQoI7eSLM9OsagJAcMQF3bNom5
KhoD7GsN5ud1g/4aRLTP9WXpQg2tO86Ho1MwUTAdBgNVHQ4EFgQUXz2vShoO0yxA
lwQQJy9Nn3JJrG8wHwYDVR0jBBgwFoAUXz2vShoO0yxAlwQQJy9Nn3JJrG8wDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBzWOhdEUexrTcInTntZTnD
1djpNjJs9pGCwq1TnrKjXAIgcrx+ouapZ9j83SKYJkJ5FpV4yfPOU4UR6Ic7DLOX
ZgI=
-----END CERTIFICATE-----`,
}
const KEY = { id: 'ab'.repeat(16), key: randomBytes(32) }

/** What the end that dials makes of a TLS server. */
async function dialed(options: TlsOptions): Promise<unknown> {
  const server = createServer({ minVersion: 'TLSv1.3', ...options }).on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  try {
    return await provePreshared(socket, KEY, () => 'proved').catch((error: unknown) => error)
  } finally {
    socket.destroy()
    server.close()
  }
}

describe('TLS with a pre-shared key', () => {
  it('is no proof for an end that shows a certificate, even one that this host trusts', async () => {
    const before = getCACertificates('default')
    setDefaultCACertificates([...before, CERTIFICATE.cert])
    try {
      assert.equal(String(await dialed(CERTIFICATE)),
        'CertificateShownError: the other end showed a certificate and did not prove the key')
    } finally {
      setDefaultCACertificates(before)
    }
  })

  it('proves the key, and fails with another one, at both ends', async () => {
    const made = { key: KEY.key as Uint8Array }
    const accepted: Promise<unknown>[] = []
    const server = createPlainServer((socket) => {
      accepted.push(acceptPreshared(socket, { ...KEY, ...made }, (duplex) => duplex.end('hello').getProtocol())
        .catch((error: unknown) => (error as { code: string }).code))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const dial = () => provePreshared(connect((server.address() as AddressInfo).port, '127.0.0.1'), KEY, (duplex) => {
      duplex.resume()
      return 'proved'
    })
    try {
      assert.equal(await dial(), 'proved')
      made.key = randomBytes(32)
      await assert.rejects(dial(), { code: 'ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR' })
      assert.deepEqual(await Promise.all(accepted), ['TLSv1.3', 'ERR_SSL_BINDER_DOES_NOT_VERIFY'])
    } finally {
      server.close()
    }
  })
})
