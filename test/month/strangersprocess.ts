/**
 * Strangers who never prove the key: `strangersprocess.ts SETTINGS`, as JSON. Each message from the parent is a number
 * of them; the answer is how many of each kind came, once all of them are gone.
 */
import { randomBytes } from 'node:crypto'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

import { Chance, randomIn } from '../support/chance.ts'

export interface StrangersSettings {
  seed: number
  /** Host and port of every door. */
  doors: { host: string; port: number }[]
  localAddress: string
  /** When one that the host has not closed hangs up itself, at most. */
  patienceMsMax: number
}

export type StrangersAnswer = Record<string, number>

/** At once, at all doors together. */
const AT_ONCE = 64
const PATIENCE_MS_MIN = 500
const GARBAGE_BYTES_MAX = 4096
/** What opens a libp2p connection: both ends agree on Noise. */
const OPENING = Buffer.from('\u0013/multistream/1.0.0\n\u0007/noise\n', 'latin1')

const KINDS: Record<string, (socket: Socket, chance: Chance) => void> = {
  /** Connects and hangs up. */
  passing: (socket) => socket.end(),
  /** Connects and breaks the connection off. */
  reset: (socket) => { socket.resetAndDestroy() },
  /** Says nothing: gone when the host loses patience. */
  silent: () => {},
  /** Half open: says that it will send no more, and stays. */
  halfOpen: (socket) => { socket.allowHalfOpen = true; socket.end() },
  garbage: (socket, chance) => { socket.write(randomBytes(1 + chance.below(GARBAGE_BYTES_MAX))) },
  /** Begins as a host would, and stays away. */
  opening: (socket) => { socket.write(OPENING) },
  /** The same, with garbage for its handshake. */
  handshake: (socket, chance) => {
    const length = 1 + chance.below(300)
    socket.write(Buffer.concat([OPENING, Buffer.from([length >> 8, length & 255]), randomBytes(length)]))
  },
  /** Byte after byte of a beginning. */
  slow: (socket) => {
    let sent = 0
    const timer = setInterval(() => socket.write(OPENING.subarray(sent, ++sent)), 300)
    socket.once('close', () => clearInterval(timer))
  },
}

const { seed, doors, localAddress, patienceMsMax } = JSON.parse(process.argv[2]!) as StrangersSettings
const chance = new Chance(seed)

process.on('message', (count: number) => {
  void visit(count).then((answer) => process.send!(answer))
})
process.on('disconnect', () => process.exit())

async function visit(count: number): Promise<StrangersAnswer> {
  const counts: StrangersAnswer = {}
  let left = count
  const comeAndGo = async (): Promise<void> => {
    while (left-- > 0) {
      const kind = randomIn([...Object.keys(KINDS), 'tls'], chance)
      counts[kind] = (counts[kind] ?? 0) + 1
      await come(kind)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, comeAndGo))
  return counts
}

async function come(kind: string): Promise<void> {
  const door = { ...randomIn(doors, chance), localAddress }
  const socket = kind === 'tls' ? connectTls({ ...door, rejectUnauthorized: false }) : connectTcp(door)
  // However it fails, it closes.
  socket.on('error', () => {})
  socket.resume()
  if (kind !== 'tls') socket.once('connect', () => KINDS[kind]!(socket, chance))
  const timer = setTimeout(() => socket.destroy(), chance.between(PATIENCE_MS_MIN, patienceMsMax))
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  clearTimeout(timer)
}
