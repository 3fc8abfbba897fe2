import { randomBytes } from 'node:crypto'

/** Randomness as a port: secret bytes in production, a seeded stream in tests. */
export interface Random {
  bytes(count: number): Uint8Array
  /** A number in [0, 1), for jitter; never for secrets. */
  fraction(): number
}

export const systemRandom: Random = {
  bytes: (count) => new Uint8Array(randomBytes(count)),
  fraction: () => randomBytes(4).readUInt32LE() / 0x1_0000_0000,
}
