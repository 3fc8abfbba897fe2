/** Records the state after the last step, for the assertions; nothing here judges. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import type { Lab } from './lab.ts'
import type { Place } from './places.ts'
import type { AgentRecord, GuestRecord } from './record.ts'
import { settle } from './settling.ts'

const BEATS = 2

/** Lets the agents settle, then records where every guest is and the status of every agent. */
export async function recordEnd(lab: Lab): Promise<void> {
  const { places, recorder } = lab
  // An assertion finds an agent that does not settle.
  const isSettled = await settle(lab).then(() => true, () => false)
  for (const host of places.connected()) recorder.record.agents.push(await agentRecord(lab, host, isSettled))
  recorder.record.guests = await Promise.all(places.all().map(([name, place]) => guestRecord(lab, name, place)))
}

async function agentRecord({ cluster, places }: Lab, host: string, allSettled: boolean): Promise<AgentRecord> {
  const rendezvous = readdirSync(join(cluster.directory, host, 'control.sock.d'))
  // An agent that does not answer is recorded as not settled, for the assertions.
  const status = await cluster.agent(host).status().catch(() => undefined)
  if (status === undefined) return { host, isSettled: false, rendezvous }
  const seesAll = status.peers.length === places.connected().length - 1
  return { host, status, isSettled: seesAll && (allSettled || status.settled), rendezvous }
}

async function guestRecord({ places, recorder }: Lab, name: string, place: Place | undefined): Promise<GuestRecord> {
  const seenOn = recorder.record.agents.filter(({ status }) =>
    status?.guests.some((known) => known.name === name && known.state === 'running')).map(({ host }) => host)
  const isAlive = place !== undefined && await place.qemu.moreBeats(BEATS).then(() => true, () => false)
  return {
    name, seenOn, isAlive, runsOn: await places.runsOn(name), ...(place === undefined ? {} : { host: place.host }),
  }
}
