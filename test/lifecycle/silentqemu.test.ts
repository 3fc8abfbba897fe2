/**
 * A waiting QEMU hangs when one of its channels breaks, and its agent has only the capabilities of its service: the
 * operator is told what to do, and afterwards nothing is left.
 */
import assert from 'node:assert/strict'

import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'
import type { Held } from '../support/verdict.ts'
import type { Witness } from '../support/witness.ts'
import { CHANNEL_STRIKES, ChannelStriker, type ChannelStrike } from './channelstrikes.ts'
import type { TravellingGuest } from './travelling.ts'
import { travels } from './travels.ts'
import { expectBeats, type TwoHosts } from './twohosts.ts'

const TEST_TIMEOUT_MS = 300_000
const WAIT_MS = 60_000
/** Whether QEMU hangs is chance: about half of the time. */
const TRIES_MAX = 12
const KIND = { work: 'random', memoryMiB: 128 } as const
const STRIKE = CHANNEL_STRIKES.find(({ title }) => title === 'a connection of the destination QEMU is closed')!

function* always(): Generator<{ strike: ChannelStrike; random: number }, never> {
  for (;;) yield { strike: STRIKE, random: 0.5 }
}

describe('a hung QEMU that its agent may not end', function () {
  this.timeout(TEST_TIMEOUT_MS)
  const made = travels({ kind: KIND })

  it('is reported with the command that ends it, and leaves nothing when it has ended', async () => {
    const { hosts, guest } = made
    const { destination, held } = await untilHung(hosts, guest)
    const { host, guest: { pid } } = destination
    assert.equal(held.guest, guest.name)
    assert.match(held.why, new RegExp(`process ${pid}, does not answer, and this agent has not the right to end it`))
    assert.match(held.why, new RegExp(`The guest stays at its source\\. End this process, as root: kill -KILL ${pid}$`))
    assert.equal(await guest.home.client.state(), 'running')
    await expectBeats(guest.home.guest)
    const settled = await hosts.cluster.agent(host).command('settle', guest.name, '--end', '--yes')
    assert.equal(settled.status, 1)
    assert.match(settled.errors, new RegExp(`kill -KILL ${pid}`))
    process.kill(pid, 'SIGKILL')
    await destination.client.gone
    await hosts.expectFree()
    // QEMU 7.2 at the source may never end a migration whose channels broke: only the agents are tested here.
    await guest.restore()
    await guest.waiting()
    const { status, errors } = await hosts.migrate(guest.home.host, guest.name, guest.otherHost)
    assert.equal(status, 0, errors)
  })
})

/** Moves the guest until its destination QEMU hangs. */
async function untilHung(hosts: TwoHosts, guest: TravellingGuest): Promise<{ destination: Witness; held: Held }> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const { home: source, name, otherHost } = guest
    const destination = await guest.waiting()
    await hosts.seen(source, destination)
    const striker = new ChannelStriker({ multifd: 4, strikes: always() })
    const ready = await striker.prepare({ hosts, guest: name, source, destination }, 20 + 5 * tries)
    const moving = hosts.migrate(source.host, name, otherHost, ...striker.words)
    await ready.strike({ startedAtMs: Date.now(), over: moving })
    if ((await moving).status === 0) {
      await guest.settleIn(destination)
      continue
    }
    const held = await heldOrGone(hosts, destination)
    if (held !== undefined) return { destination, held }
    await guest.restore()
  }
  throw new Error(`none of ${TRIES_MAX} QEMUs hung`)
}

/** The agent's report of a hung QEMU that it cannot end; undefined if the QEMU ended by itself. */
async function heldOrGone(hosts: TwoHosts, destination: Witness): Promise<Held | undefined> {
  return await waitFor(async () => {
    if (!destination.client.isOpen) return { held: undefined }
    const held = (await hosts.status(destination.host)).held?.find(({ why }) => why.includes('has not the right'))
    return held === undefined ? undefined : { held }
  }, {
    clock: systemClock, what: `the QEMU of ${destination.host} to end or to be told of`, timeoutMs: WAIT_MS,
    pauseMs: 100,
  }).then(({ held }) => held)
}
