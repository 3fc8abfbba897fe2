import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'

import { createLibp2pMesh, deriveKeys, type LaneTicket } from '../../src/mesh/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import type { HostFigures, HostPlaces } from './hostprocess.ts'

const SECONDS = Number(process.env.PAGEMESH_SECONDS ?? 10)
const CONNECTIONS = 1_000
const VISITS_BEFORE = 40
const JOIN_MS_MAX = 2_000
const LANE_MS_MAX = 2_000
const MEMORY_BYTES_MAX = 32 * 1024 * 1024
const LOG_LINES_MAX = 10

const CROWDS = [
  { from: 'one address, that of the members', addresses: ['127.0.0.1'] },
  { from: '50 addresses', addresses: Array.from({ length: 50 }, (_, index) => `127.0.0.${index + 1}`) },
]

/** A crowd of strangers holds connections to both ports of a host open, and reopens each that is closed. */
describe('a thousand idle strangers at each port', () => {
  const children: ChildProcess[] = []
  const key = systemRandom.bytes(32)

  afterEach(async () => {
    await Promise.all(children.splice(0).map(async (child) => {
      const ended = once(child, 'exit')
      if (child.connected) child.disconnect()
      if (child.exitCode === null) await ended
    }))
  })

  const start = (script: string, args: string[]): ChildProcess => {
    const path = fileURLToPath(new URL(script, import.meta.url))
    const child = fork(path, args, {
      execArgv: ['--expose-gc'], stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    children.push(child)
    return child
  }

  for (const { from, addresses } of CROWDS) {
    it(`from ${from} keep no member out`, async () => {
      const host = start('hostprocess.ts', [toString(key, 'hex')])
      let logged = ''
      host.stderr!.on('data', (bytes: Buffer) => { logged += bytes.toString() })
      const { address, lane } = await firstWord<HostPlaces>(host)
      // Memory that members make the host allocate is not the strangers' doing.
      let calmMs = 0
      for (let count = 0; count < VISITS_BEFORE; count += 1) {
        calmMs = Math.max(calmMs, (await visit(key, address)).joinMs)
      }
      const before = await ask<HostFigures>(host)

      const ports = [address.split('/')[4]!, lane.split(':')[1]!]
      const crowd = start('crowdprocess.ts', [String(CONNECTIONS), ports.join(','), addresses.join(',')])
      while (await ask<number>(crowd) < 2 * CONNECTIONS) await systemClock.sleep(20)

      // First the strangers alone, so that no member's memory counts, then members among them.
      const phaseMs = SECONDS * 1000 / CROWDS.length / 2
      let rssBytes = 0
      for (const endAt = performance.now() + phaseMs; performance.now() < endAt;) {
        await systemClock.sleep(1_000)
        rssBytes = Math.max(rssBytes, (await ask<HostFigures>(host)).rssBytes)
      }
      const visits: { joinMs: number; laneMs: number }[] = []
      for (const endAt = performance.now() + phaseMs; performance.now() < endAt || visits.length === 0;) {
        visits.push(await visit(key, address))
      }
      const { strangerCount } = await ask<HostFigures>(host)
      const joinMs = Math.max(...visits.map((visited) => visited.joinMs))
      const laneMs = Math.max(...visits.map((visited) => visited.laneMs))
      const grownBytes = rssBytes - before.rssBytes
      const lines = logged.split('\n').filter((line) => line !== '')
      const mebibytes = (grownBytes / 2 ** 20).toFixed(1)
      const times = `join ${joinMs.toFixed(0)} ms (${calmMs.toFixed(0)} before), lane ${laneMs.toFixed(0)} ms`
      console.log(`      ${visits.length} members, at worst: ${times}; ${mebibytes} MiB more; ` +
        `${strangerCount} dropped of ${await ask<number>(crowd)} connections; ${lines.length} lines`)
      assert.ok(joinMs <= JOIN_MS_MAX, `a member joined after ${joinMs} ms`)
      assert.ok(laneMs <= LANE_MS_MAX, `a lane opened after ${laneMs} ms`)
      assert.ok(grownBytes <= MEMORY_BYTES_MAX, `the host grew by ${grownBytes} bytes`)
      assert.ok(lines.length <= LOG_LINES_MAX, lines.slice(0, 20).join('\n'))
      assert.ok(strangerCount > 0)
    }).timeout(60_000 + SECONDS * 1000)
  }
})

/** A new member joins, opens a lane with its ticket, has some bytes echoed over it, and leaves. */
async function visit(key: Uint8Array, address: string): Promise<{ joinMs: number; laneMs: number }> {
  const startedAt = performance.now()
  const member = createLibp2pMesh({ clock: systemClock, log: silentLog, random: systemRandom }, {
    name: `member-${toString(systemRandom.bytes(4), 'hex')}`, keys: deriveKeys(key),
    listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [address],
  })
  try {
    await member.start()
    while (member.member('host') === undefined) await systemClock.sleep(5, AbortSignal.timeout(30_000))
    const joinedAt = performance.now()
    const signal = AbortSignal.timeout(20_000)
    const stream = await member.open('host', '/test/lane/1', signal)
    const ticket = JSON.parse(toString(await stream.receive(signal))) as LaneTicket
    const lane = await member.dialLane(member.member('host')!, ticket, signal)
    const answered = new Promise<void>((resolve) => lane.receive(() => resolve()))
    lane.write(fromString('hello'))
    await answered
    lane.destroy()
    return { joinMs: joinedAt - startedAt, laneMs: performance.now() - joinedAt }
  } finally {
    await member.stop()
  }
}

async function firstWord<Word>(child: ChildProcess): Promise<Word> {
  const [word] = await once(child, 'message', { signal: AbortSignal.timeout(20_000) }) as [Word]
  return word
}

function ask<Answer>(child: ChildProcess): Promise<Answer> {
  child.send('figures')
  return firstWord(child)
}
