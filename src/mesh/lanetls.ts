/**
 * TLS as both ends of a lane set it: 1.3 with a pre-shared key and no certificates. OpenSSL's callback for such keys
 * allows the suites over SHA-256 only; AES is the one that processors have instructions for.
 */
export const LANE_TLS_OPTIONS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
} as const

/** Idle time after which the kernel asks whether the other end is still there. */
export const LANE_KEEP_ALIVE_MS = 10_000
