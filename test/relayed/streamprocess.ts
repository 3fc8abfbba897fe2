/**
 * One end of a connection that carries bytes, or a plain relay in between, on a host of the lab:
 *
 *   sink HOST PORT                  takes connections; prints `{ bytes, check }` when each has ended
 *   source HOST PORT BYTES SEED     writes BYTES bytes; prints `{ bytes, check, ms, cpuSeconds }` at the end
 *   relay HOST PORT TO PORT         passes on each connection, like any program with node:net
 *
 * The seed determines a source's bytes; `check` is their CRC-32. All output is on standard error, one line of JSON
 * each; listeners print `ready`.
 */
import { connect, createServer, type Server } from 'node:net'
import { crc32 } from 'node:zlib'

import { Chance } from '../support/chance.ts'

const PIECE_BYTES = 1024 * 1024
/** Random bytes that repeat, each time with another number at their start. */
const PERIOD_BYTES = 16 * PIECE_BYTES

const [role, host = '', port = '', ...further] = process.argv.slice(2)
const at = { host, port: Number(port) }

if (role === 'sink') {
  listen(createServer((socket) => {
    let bytes = 0
    let check = 0
    socket.on('data', (piece: Buffer) => {
      bytes += piece.length
      check = crc32(piece, check)
    })
    socket.on('end', () => say({ bytes, check }))
    socket.on('error', (error) => say({ bytes, check, error: error.message }))
  }))
}

if (role === 'source') await write(Number(further[0]), Number(further[1]))

if (role === 'relay') {
  const to = { host: further[0]!, port: Number(further[1]) }
  listen(createServer({ allowHalfOpen: true }, (socket) => {
    const there = connect({ ...to, allowHalfOpen: true })
    for (const [one, other] of [[socket, there], [there, socket]] as const) {
      one.pipe(other)
      one.on('error', () => other.destroy())
    }
  }))
}

async function write(bytesMax: number, seed: number): Promise<void> {
  const chance = new Chance(seed)
  const period = Buffer.alloc(PERIOD_BYTES)
  for (let place = 0; place < PERIOD_BYTES; place += 4) period.writeUInt32LE(chance.below(2 ** 32), place)
  let bytes = 0
  let check = 0
  const begunAt = performance.now()
  const startedWith = process.cpuUsage()
  const socket = connect(at)
  while (bytes < bytesMax) {
    const place = bytes % PERIOD_BYTES
    const piece = Buffer.from(period.subarray(place, place + Math.min(PIECE_BYTES, bytesMax - bytes)))
    piece.writeUInt32LE(bytes / PIECE_BYTES, 0)
    check = crc32(piece, check)
    bytes += piece.length
    if (!socket.write(piece)) await new Promise((resolve) => { socket.once('drain', resolve) })
  }
  socket.end()
  // The sink closes when it has read the end.
  await new Promise((resolve) => { socket.resume().once('close', resolve) })
  const { user, system } = process.cpuUsage(startedWith)
  say({ bytes, check, ms: performance.now() - begunAt, cpuSeconds: (user + system) / 1e6 })
}

function listen(server: Server): void {
  server.listen(at, () => say('ready'))
}

function say(what: unknown): void {
  process.stderr.write(`${JSON.stringify(what)}\n`)
}
