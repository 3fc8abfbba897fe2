/** Programs that attack as an unprivileged user, for as long as a test lets them. Each success is a line. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { NOBODY } from './nobody.ts'

/** Pause between attempts: the guest must be able to move on this machine, too. */
const REST_MS = 2

export interface Attacker {
  /** The successes that it reported. */
  readonly successes: readonly string[]
  /** How often it tried. */
  readonly attempts: number
  stop(): Promise<void>
}

/**
 * For each socket in `guestDirectory`: listens at 20 sockets of its own and replaces the socket with a link to one of
 * them. A process that takes that for a QEMU and talks to it counts as a success.
 */
export function plantLinks(guestDirectory: string, ownDirectory: string): Promise<Attacker> {
  return startAttacker(`
    const seen = new Set()
    const servers = []
    setInterval(() => {
      for (const name of fs.readdirSync('${guestDirectory}').filter((name) => name.endsWith('.qmp'))) {
        if (seen.has(name)) continue
        seen.add(name)
        for (let index = 0; index < 20; index++) {
          const path = '${ownDirectory}/' + name + index
          const server = net.createServer((socket) => socket.once('data', () => succeed('asked at ' + path)))
          servers.push(server)
          // A process may not have unlimited sockets open; those of guests that have left are useless.
          if (servers.length > 100) servers.shift().close()
          server.listen(path, () => {
            fs.unlinkSync(path)
            fs.symlinkSync('${guestDirectory}/' + name, path)
            attempt()
          })
        }
      }
    }, ${REST_MS})`)
}

/**
 * Looks for every socket of a handoff, connects to it, and replaces whatever is at its path, or its directory, with a
 * link to `target`. Received bytes count as a success, and so does a change of the target's owner or mode.
 */
export function swapSockets(target: string): Promise<Attacker> {
  return startAttacker(`
    const { uid, mode } = fs.statSync('${target}')
    const quietly = (work) => { try { work() } catch { } }
    const look = () => {
      const table = fs.readFileSync('/proc/net/unix', 'utf8')
      for (const [, path, room] of table.matchAll(/ ((\\/\\S*\\/handoff-[^/\\s]+)\\/\\S+)$/gm)) {
        attempt()
        for (const place of [path, room, room + '/q', room + '/qemu']) {
          quietly(() => { fs.renameSync(place, place + '.old') })
          quietly(() => { fs.unlinkSync(place) })
          quietly(() => { fs.symlinkSync('${target}', place) })
        }
        quietly(() => net.connect(path).on('error', () => {}).on('data', () => succeed('got bytes at ' + path)))
        quietly(() => { if (fs.readdirSync(room).length > 0) succeed('looked into ' + room) })
      }
      const now = fs.statSync('${target}')
      if (now.uid !== uid || now.mode !== mode) succeed('changed the owner of the target')
    }
    setInterval(look, ${REST_MS})`)
}

async function startAttacker(script: string): Promise<Attacker> {
  const head = `const fs = require('fs'), net = require('net')
    let attempts = 0
    const succeed = (how) => console.log('success ' + how)
    const attempt = () => console.log('attempt ' + ++attempts)
    console.log('ready')`
  const child = spawn(process.execPath, ['-e', head + script], {
    ...NOBODY, cwd: '/', stdio: ['ignore', 'pipe', 'inherit'],
  })
  const attacker = new RunningAttacker(child)
  await once(child.stdout, 'data')
  return attacker
}

class RunningAttacker implements Attacker {
  readonly successes: string[] = []
  attempts = 0
  readonly #child: ChildProcess

  constructor(child: ChildProcess) {
    this.#child = child
    child.stdout!.on('data', (bytes: Buffer) => {
      for (const line of bytes.toString().split('\n')) {
        if (line.startsWith('success')) this.successes.push(line)
        if (line.startsWith('attempt')) this.attempts += 1
      }
    })
  }

  async stop(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) throw new Error('the attacker ended by itself')
    this.#child.kill('SIGKILL')
    await once(this.#child, 'close')
  }
}
