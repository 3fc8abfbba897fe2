#!/usr/bin/env node
/**
 * `migrate GUEST HOST`, in a container of docker-compose.yml: moves a guest of this host to another one as an operator
 * would. It starts a waiting QEMU there, runs `pagemesh migrate`, which prints the savings, waits for the guest's
 * heartbeat there, and ends the QEMU here. Further arguments are flags of `pagemesh migrate`. Exit status: that of
 * `pagemesh migrate`; 1 also if the guest has no heartbeat afterwards.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { hostname } from 'node:os'

import { describeError } from '../../src/runtime/errors.ts'
import { askHost } from './hostsocket.ts'
import type { GuestSpec } from './settings.ts'

const EXIT = { done: 0, failed: 1, usage: 2 } as const
const BEATS = 2
const USAGE = `Usage: migrate GUEST HOST [flags of \`pagemesh migrate\`]
Such as: docker compose exec host-a migrate web host-b
`

const [guest, to, ...flags] = process.argv.slice(2)
if (guest === undefined || to === undefined || guest.startsWith('-') || to.startsWith('-')) {
  process.stderr.write(USAGE)
  process.exitCode = EXIT.usage
} else {
  try {
    process.exitCode = await migrate(guest, to, flags)
  } catch (error) {
    process.stderr.write(`migrate: ${describeError(error)}\n`)
    process.exitCode = EXIT.failed
  }
}

async function migrate(guest: string, to: string, flags: readonly string[]): Promise<number> {
  const from = hostname()
  const spec = await askHost<GuestSpec>(from, { ask: 'leave', guest })
  await askHost(to, { ask: 'expect', guest: spec })
  say(`A QEMU on ${to} waits for ${guest}: ${spec.memoryMiB} MiB, its work is ${spec.work}.`)
  const before = await askHost<number>(from, { ask: 'beats', guest, more: 0 })
  const status = await runPagemesh(['migrate', guest, '--to', to, ...flags])
  if (status !== EXIT.done) {
    // A QEMU that has the guest is not ended.
    await askHost(to, { ask: 'end', guest })
    return status
  }
  const after = await askHost<number>(to, { ask: 'beats', guest, more: BEATS })
  await askHost(from, { ask: 'end', guest })
  if (after <= before) {
    say(`The heartbeat of ${guest} was ${before} on ${from} and is ${after} on ${to}: it should go on.`)
    return EXIT.failed
  }
  say(`The heartbeat of ${guest} goes on: ${before} on ${from} before, ${after} on ${to} now.`)
  return EXIT.done
}

/** Its output goes to ours. Ctrl-C reaches both: it asks its agent to cancel, and we wait for the result. */
async function runPagemesh(words: readonly string[]): Promise<number> {
  // It suffices not to end: the child gets the signal as well.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)
  const child = spawn('pagemesh', words, { stdio: 'inherit' })
  const [status] = await once(child, 'close') as [number | null]
  return status ?? EXIT.failed
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
