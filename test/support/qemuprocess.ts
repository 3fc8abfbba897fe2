import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'

import { connectQmp } from '../../src/guest/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { waitFor } from '../../testnet/index.ts'

/** A QEMU that a test runs, with a QMP socket named after it. */
export interface Qemu {
  pid: number
  socket: string
  /** Executes a QMP command over its own connection. */
  command(command: string, args?: Record<string, unknown>): Promise<unknown>
  /** Resolves when the BIOS has filled some memory and waits for a disk. */
  untilBooted(): Promise<void>
  /** Ends the process; idempotent. */
  kill(): Promise<void>
}

const BINARY = 'qemu-system-x86_64'

/** For `before`: skips the suite, with the reason, if real QEMU cannot be tested. */
export function skipWithoutQemu(this: Mocha.Context): void {
  const missing = missingQemu()
  if (missing === undefined) return
  this.test!.parent!.title += ` (${missing})`
  this.skip()
}

function missingQemu(): string | undefined {
  if (spawnSync(BINARY, ['--version']).status !== 0) return `skipped: no ${BINARY}`
  if (process.getuid?.() !== 0) return 'skipped: reading another process needs root'
  return undefined
}

/**
 * Starts a QEMU without devices in `directory`, after `prefix`, which may change the user; resolves when its QMP socket
 * answers.
 */
export async function startQemu(
  directory: string, name: string, args: readonly string[], prefix: readonly string[] = [],
): Promise<Qemu> {
  const socket = join(directory, `${name}.qmp`)
  const [program, ...words] = [...prefix, BINARY]
  const child = spawn(program, [
    ...words, '-accel', 'tcg', '-display', 'none', '-nodefaults', '-qmp', `unix:${socket},server=on,wait=off`, ...args,
  ], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  let complaint = ''
  child.stderr.on('data', (bytes: Buffer) => { complaint = (complaint + bytes.toString()).slice(-2_000) })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const command = async (word: string, words: Record<string, unknown> = {}): Promise<unknown> => {
    const qmp = await connectQmp(socket, { clock: systemClock, log: silentLog })
    try {
      return await qmp.execute(word, words)
    } finally {
      await qmp.close()
    }
  }
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`QEMU ended: ${complaint}`)
    return command('query-status').then(() => true, (error: unknown) => {
      if (error instanceof PagemeshError && error.code === 'guest-gone') return false
      throw error
    })
  })
  return {
    pid: child.pid!,
    socket,
    command,
    untilBooted: () => until(async () => {
      const answer = await command('human-monitor-command', { 'command-line': 'xp /4wx 0x7c00' })
      const registers = await command('human-monitor-command', { 'command-line': 'info registers' })
      // Halted without a disk, after the BIOS has run.
      return typeof answer === 'string' && / HLT=1/.test(String(registers))
    }),
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Resolves when `condition` holds; rejects after a minute. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(async () => await condition() ? true : undefined, {
    clock: systemClock, what: String(condition), timeoutMs: 60_000, pauseMs: 10,
  })
}
