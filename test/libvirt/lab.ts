/**
 * One lab for all libvirt tests: hosts `left` and `right` with an agent each, the guest `web`, which moves, and on each
 * host a guest of the same system that stays. It is removed after the last test.
 */
import { strict as assert } from 'node:assert'
import { readdirSync } from 'node:fs'

import { askAgent, type ControlRequest, type HistoryResult } from '../../src/daemon/control/index.ts'
import { systemClock, type AgentStatus, type HandoffRecord } from '../../src/index.ts'
import {
  LibvirtCluster, PAGEMESH, sentDuring, startProcess, waitFor, type LabProcess, type LibvirtHost,
} from '../../testnet/index.ts'
import { succeeds } from '../../testnet/machine/command.ts'
import { childrenOf } from '../../testnet/machine/process.ts'
import { skipWithoutLab } from '../support/labmove.ts'
import { KINDS, WAYS, type Kind, type KindName, type Way, type WayName } from './ways.ts'

const START_MS_MAX = 300_000
const WAIT_MS_MAX = 60_000

export type HostName = 'left' | 'right'
export const OTHER: Record<HostName, HostName> = { left: 'right', right: 'left' }

let starting: Promise<LibvirtLab> | undefined
let untouched: string[] = []

/** For `before`: the lab, started if needed; skips the suite if this machine cannot have one. */
export async function openLab(this: Mocha.Context): Promise<LibvirtLab> {
  await skipWithoutLab.call(this)
  this.timeout(START_MS_MAX)
  if (starting === undefined) {
    untouched = traces()
    starting = LibvirtLab.start()
  }
  return await starting
}

after(async function () {
  if (starting === undefined) return
  this.timeout(WAIT_MS_MAX)
  await (await starting).close()
  // Other tests' networks may come and go meanwhile.
  const ours = (path: string): boolean => !/netns\/pm-/.test(path) || path.includes(`pm-${process.pid}-`)
  assert.deepEqual(traces().filter(ours), untouched.filter(ours))
})

/** Traces that libvirt and the lab could leave on this machine. */
function traces(): string[] {
  return ['/etc/libvirt', '/var/lib/libvirt', '/run', '/run/netns', '/var/log', '/var/cache']
    .flatMap((folder) => readEntries(folder).map((name) => `${folder}/${name}`))
    .filter((path) => /libvirt|pagemesh|\/pm-/.test(path))
}

function readEntries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // A missing directory has no traces.
    return []
  }
}

/** A migration that completed. */
export interface Move {
  to: HostName
  /** Bytes that it put on the wire. */
  sentBytes: number
  /** The source agent's record. */
  record: HandoffRecord
}

export class LibvirtLab {
  readonly cluster: LibvirtCluster
  /** Bytes that a migration without Pagemesh puts on the wire. */
  readonly plainBytes: number
  readonly #tunnels = new Map<string, LabProcess>()

  private constructor(cluster: LibvirtCluster, plainBytes: number) {
    this.cluster = cluster
    this.plainBytes = plainBytes
  }

  static async start(): Promise<LibvirtLab> {
    const cluster = await LibvirtCluster.start({
      hosts: ['left', 'right'],
      settings: {
        intercept: { ports: ['49152-49215'] },
        tunnel: { to: ['/run/pagemesh/*/web', '127.64.0.9:20500'] },
      },
    })
    try {
      const [left, right] = cluster.hosts as [LibvirtHost, LibvirtHost]
      await Promise.all([
        cluster.startGuest(left, 'web'), cluster.startGuest(left, 'twin-left'), cluster.startGuest(right, 'twin-right'),
      ])
      // No agent runs yet.
      const { sentBytes } = await sentDuring(cluster.network, 'left', () =>
        left.virsh('migrate', '--live', 'web', 'qemu+tcp://right/system'))
      await Promise.all(['left', 'right'].map((name) => cluster.startAgent(name)))
      const lab = new LibvirtLab(cluster, sentBytes!)
      await Promise.all([lab.counted('left', 'twin-left'), lab.counted('right', 'twin-right')])
      return lab
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.cluster.close()
    // They have ended with their hosts.
    await Promise.all([...this.#tunnels.values()].map(({ ended }) => ended))
  }

  host(name: HostName): LibvirtHost {
    return this.cluster.host(name)
  }

  /** Asks a host's agent like the command line. */
  ask<Result>(host: HostName, request: ControlRequest): Promise<Result> {
    return askAgent<Result>({ path: this.cluster.agent(host).control, request, answerMsMax: WAIT_MS_MAX })
  }

  status(host: HostName): Promise<AgentStatus> {
    return this.cluster.agent(host).status()
  }

  /** A host agent's records of migrations, the newest first. */
  async history(host: HostName): Promise<HandoffRecord[]> {
    return (await this.ask<HistoryResult>(host, { command: 'history', arguments: { countMax: 200 } })).handoffs
  }

  /** Starts agents that have ended; resolves when both see each other. */
  async restartAgents(): Promise<void> {
    const ended = (['left', 'right'] as const).filter((name) => !this.cluster.agent(name).running)
    await Promise.all(ended.map((name) => this.cluster.startAgent(name)))
    await Promise.all((['left', 'right'] as const).map(async (name) => {
      let why: string | null = null
      await this.until(`${name} to intercept`, async () => {
        const { intercept } = await this.status(name)
        why = intercept.why
        return intercept.members.includes(OTHER[name])
      }).catch((cause: unknown) => { throw new Error(`${name} does not intercept: ${why}`, { cause }) })
    }))
  }

  /** The only host on which the moving guest runs. */
  async whereIsWeb(): Promise<HostName> {
    const names = await Promise.all((['left', 'right'] as const).map((name) => this.host(name).running()))
    const isThere = names.map((all) => all.includes('web'))
    assert.notEqual(isThere[0], isThere[1], `it runs on ${isThere[0] ? 'both hosts' : 'none'}`)
    return isThere[0] ? 'left' : 'right'
  }

  /** Resolves when the agent has scanned a guest, and scanned it again. */
  async counted(host: HostName, guest: string): Promise<void> {
    await this.until(`${guest} to be counted`, async () => {
      const { guests } = await this.status(host)
      return guests.some(({ name, distinctPages }) => name === guest && distinctPages > 0)
    })
  }

  /** Resolves when both agents see each other, and the moving guest is scanned where it is. */
  async settled(from: HostName): Promise<void> {
    await this.restartAgents()
    await Promise.all([this.counted(from, 'web'), this.counted(OTHER[from], `twin-${OTHER[from]}`)])
  }

  /** Stops the agent of a host (SIGSTOP) while `meanwhile` runs; then continues it. */
  async whileHung(host: HostName, meanwhile: () => Promise<void>): Promise<void> {
    const outside = this.cluster.agent(host).pid
    const agent = childrenOf(outside)[0]!
    process.kill(agent, 'SIGSTOP')
    try {
      await meanwhile()
    } finally {
      // The process that waits for it outside of its host's namespaces was stopped as well.
      for (const pid of [agent, outside]) process.kill(pid, 'SIGCONT')
    }
  }

  until(what: string, isSo: () => Promise<boolean> | boolean, timeoutMs = WAIT_MS_MAX): Promise<true> {
    return waitFor(async () => (await isSo()) || undefined, { clock: systemClock, what, timeoutMs, pauseMs: 50 })
  }

  /** Arguments of `virsh migrate`, on the guest's host. Opens the tunnel of the way, if it needs one; it stays open. */
  async words(from: HostName, wayName: WayName, { virsh }: Kind): Promise<string[]> {
    const to = OTHER[from]
    const way: Way = WAYS[wayName]
    if (way.tunnel !== undefined) await this.#openTunnel(from, way.tunnel(to))
    return ['migrate', '--live', ...virsh, 'web', `qemu+tcp://${to}/system`, ...way.virsh(to)]
  }

  /** Moves the guest to the other host. */
  async move(wayName: WayName, kindName: KindName): Promise<Move> {
    const from = await this.whereIsWeb()
    const to = OTHER[from]
    const kind: Kind = KINDS[kindName]
    await this.settled(from)
    const words = await this.words(from, wayName, kind)
    const [known] = await this.history(from)
    const sentBytes = await this.sentDuring(from, async () => {
      const over = new AbortController()
      const migrating = this.host(from).virsh(...words)
        .finally(() => over.abort(new Error('the migration is over')))
      if (kind.postcopy === true) await Promise.race([migrating, this.goPostcopy(from, over.signal)])
      await migrating
    })
    assert.equal(await this.whereIsWeb(), to)
    return { to, sentBytes, record: await this.newerThan(from, known) }
  }

  /** Bytes that a host sent meanwhile. */
  async sentDuring(host: HostName, meanwhile: () => Promise<unknown>): Promise<number> {
    return (await sentDuring(this.cluster.network, host, meanwhile)).sentBytes!
  }

  /** The agent's next record after `known`. */
  newerThan(host: HostName, known: HandoffRecord | undefined): Promise<HandoffRecord> {
    return waitFor(async () => {
      const all = await this.history(host)
      const last = all.findIndex(({ endedAt, guest }) => endedAt === known?.endedAt && guest === known.guest)
      return all[(last === -1 ? all.length : last) - 1]
    }, { clock: systemClock, what: `the agent of ${host} to tell of it`, timeoutMs: WAIT_MS_MAX })
  }

  /** Switches a migration to post-copy after `bytes`; the signal ends the wait. */
  async goPostcopy(from: HostName, over: AbortSignal, bytes = 1): Promise<void> {
    await this.passed(from, over, bytes)
    await this.host(from).virsh('migrate-postcopy', 'web')
  }

  /** Resolves when this many bytes of the guest have passed. */
  async passed(from: HostName, over: AbortSignal, bytes = 1): Promise<void> {
    await this.until(`${bytes} bytes to pass`, async () => {
      over.throwIfAborted()
      return await this.host(from).migratedBytes('web') >= bytes
    })
  }

  async #openTunnel(from: HostName, words: readonly string[]): Promise<void> {
    const key = `${from} ${words[1]!}`
    if (this.#tunnels.get(key)?.running === true) return
    const { exec } = this.host(from)
    // The old socket of a killed agent would be mistaken for the new one.
    if (words[1]!.startsWith('/')) await this.host(from).run('rm', '--force', words[1]!)
    const tunnel = startProcess(exec, [
      ...PAGEMESH, 'tunnel', '--control', this.cluster.agent(from).control, '--to', OTHER[from], ...words,
    ])
    this.#tunnels.set(key, tunnel)
    // A socket exists only when it may be used, and the kernel names it by the path where it was made.
    const isThere = words[1]!.startsWith('/') ? `[[ -S ${words[1]!} ]]` : `[[ $(ss -tlnH src ${words[1]!}) ]]`
    await this.until(`a tunnel at ${words[1]!}`, () => {
      if (!tunnel.running) throw new Error(tunnel.errors)
      return succeeds([...exec, 'bash', '-c', isThere])
    })
  }
}
