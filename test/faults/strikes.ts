/** Carries out the strikes of a round. */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'

import { seededRandom } from '../support/random.ts'
import type { Witness } from '../support/witness.ts'
import { HOSTS, LINK_BYTES_PER_SECOND, type FaultLab } from './lab.ts'
import type { Strike } from './plan.ts'

/** A move that a strike may hit. */
export interface Ends {
  guest: string
  source: Witness
  destination: Witness
  /** Agents whose answers were lost, and QEMUs that were killed, with what was known of them. */
  readonly struck: {
    agents: Set<string>
    qemus: Map<Witness, { hadArrived: boolean }>
  }
}

/** Puts back what a strike has changed. */
export type Mend = () => Promise<void> | void

const CORRUPT_PER_MILLE = 20
const SLOW_BYTES_PER_SECOND = 300e3
const DAMAGED_PLACES = 64
const DAMAGE = 'damaged'
/** The files of the kept pages. */
const KEPT = ['pages.slab', 'pages.index']

/** Strikes; returns what mends it, to be done when its time is over. */
export async function strike(lab: FaultLab, { kind, target, choice }: Strike, ends: Ends): Promise<Mend> {
  const host = hostOf(target, ends)
  lab.trace.add('strike', `${kind} at ${host} (${target})`)
  switch (kind) {
    case 'kill-agent': return await endAgent(lab, host, ends, 'kill')
    case 'restart-agent': return await endAgent(lab, host, ends, 'stop')
    case 'stop-agent': return suspend(lab.agent(host).pid)
    case 'kill-qemu': return await killQemu(target === 'source' ? ends.source : ends.destination, ends)
    case 'stop-qemu': return suspend((target === 'source' ? ends.source : ends.destination).guest.pid)
    case 'cut':
    case 'delay':
      await lab.cluster.network.cut(host)
      return () => lab.cluster.network.restore(host)
    case 'slow':
      await lab.cluster.network.shape(host, SLOW_BYTES_PER_SECOND)
      return () => lab.cluster.network.shape(host, LINK_BYTES_PER_SECOND)
    case 'corrupt':
      await lab.cluster.network.corrupt(host, CORRUPT_PER_MILLE)
      return () => lab.cluster.network.corrupt(host, 0)
    case 'damage-store': return damageStore(lab, host, choice)
    case 'fill-disk':
      lab.fillDisk(host)
      return () => lab.freeDisk(host)
    case 'cancel': return cancel(lab, ends)
  }
}

function hostOf(target: Strike['target'], { source, destination }: Ends): string {
  if (target !== 'other') return target === 'source' ? source.host : destination.host
  return HOSTS.find((host) => host !== source.host && host !== destination.host)!
}

async function endAgent(lab: FaultLab, host: string, ends: Ends, how: 'kill' | 'stop'): Promise<Mend> {
  ends.struck.agents.add(host)
  await lab.endAgent(host, how)
  return () => lab.startAgent(host)
}

function suspend(pid: number): Mend {
  // It may have ended: then there is nothing to stop, nor to let go on.
  const send = (signal: NodeJS.Signals): void => { if (existsSync(`/proc/${pid}`)) process.kill(pid, signal) }
  send('SIGSTOP')
  return () => send('SIGCONT')
}

async function killQemu(witness: Witness, ends: Ends): Promise<Mend> {
  await witness.guest.stop()
  await witness.client.gone
  ends.struck.qemus.set(witness, { hadArrived: ends.destination.hasArrived })
  return () => {}
}

function damageStore(lab: FaultLab, host: string, choice: number): Mend {
  const disk = lab.diskOf(host)
  const random = seededRandom(Math.floor(choice * 2 ** 32))
  for (const name of readdirSync(disk).filter((each) => KEPT.includes(each))) {
    const file = openSync(join(disk, name), 'r+')
    const { size } = fstatSync(file)
    // It ends before the file does: a damaged file keeps its length.
    for (let place = 0; place < DAMAGED_PLACES && size > DAMAGE.length; place++) {
      writeSync(file, DAMAGE, Math.floor(random() * (size - DAMAGE.length)))
    }
    closeSync(file)
  }
  return () => {}
}

/** What it resolves to does not matter: the move's own result tells what became of it. */
function cancel(lab: FaultLab, { source, guest }: Ends): Mend {
  const asking = lab.ask(source.host, { command: 'cancel', arguments: { guest } }).catch(() => undefined)
  return async () => { await asking }
}
