/** Two hosts with agents; the test takes the place of a manager and drives QEMUs over QMP alone. */
import assert from 'node:assert/strict'
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { askAgent, type HistoryResult, type Progress } from '../../src/daemon/control/index.ts'
import type { AgentStatus, HandoffRecord } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import {
  compareArrived, createCluster, ensureImage, waitFor, type GuestOptions, type LabCluster, type LabGuest,
  type QemuRelease,
} from '../../testnet/index.ts'

export const SETUP_TIMEOUT_MS = 600_000
export const TEST_TIMEOUT_MS = 240_000
const NEWS_TIMEOUT_MS = 90_000
const ANSWER_MS_MAX = 30_000
const HISTORY_MAX = 200
const SMALL = { system: 'busybox', work: 'idle', memoryMiB: 96 } as const
/** Slow enough to act during a migration. */
export const SLOW_BYTES_PER_SECOND = 1_000_000
const FAST_BYTES_PER_SECOND = 100e9
/** At loopback addresses, which `tunnel.to` allows by default. */
const TUNNEL_PORT = 20_500
/** An intercepted port. */
const MANAGER_PORT = 49_152

/** A guest to move, and its destination. */
export interface Pair {
  source: LabGuest
  /** Waits, and stays paused when it has the guest. */
  destination: LabGuest
}

/** How a manager migrates a guest. */
export interface Drive {
  /** Where the source connects, and where the destination waits: the path of a socket, or `host:port`. */
  path: string
  remotePath: string
  capabilities?: readonly string[]
  parameters?: Record<string, unknown>
  postcopy?: true
  /** Default: unlimited. */
  bytesPerSecond?: number
}

/** A tunnel from a to b, as opened by `pagemesh tunnel`. */
export interface OpenTunnel {
  begun(): Promise<void>
  ended(): Promise<HandoffRecord>
  refused(): Promise<{ code: string }>
  close(): Promise<void>
}

export interface PairOptions {
  from?: string
  to?: string
  /** The destination's memory, if it differs. */
  destinationMiB?: number
  /** Further arguments for both QEMUs, and those that make the destination wait. Default: `-incoming defer`. */
  further?: readonly string[]
  incoming?: readonly string[]
}

/** Hosts a and b; on b runs a guest of the same system as all others. Settings: `managed` and the like. */
export class ManagerLab {
  readonly cluster: LabCluster
  readonly release: QemuRelease
  readonly #guests: LabGuest[] = []
  #count = 0

  private constructor(cluster: LabCluster, release: QemuRelease) {
    this.cluster = cluster
    this.release = release
  }

  static async open(release: QemuRelease): Promise<ManagerLab> {
    await ensureImage()
    const cluster = await createCluster({
      hosts: ['a', 'b'],
      settings: {
        census: { intervalSeconds: 5 }, store: { maxBytes: 0 },
        tunnel: { to: ['/tmp/pm-*/b/guests/*.in', '127.64.0.0/16:20000-30999'] },
        intercept: { ports: ['49152-49215', '60000-60050'] },
      },
    })
    const lab = new ManagerLab(cluster, release)
    try {
      const twin = await cluster.startGuest('b', { ...SMALL, name: 'twin', qemu: release })
      await twin.ready()
      await lab.counted(twin)
      await lab.met()
      return lab
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  /** Ends a test's guests. */
  async endGuests(): Promise<void> {
    await Promise.all(this.#guests.splice(0).map((guest) => guest.stop()))
  }

  async close(): Promise<void> {
    await this.cluster.close()
  }

  async status(host: string): Promise<AgentStatus> {
    return await this.cluster.agent(host).status()
  }

  async intercepted(host = 'a'): Promise<AgentStatus['intercept']> {
    return (await this.status(host)).intercept
  }

  /** Each host sees the other, and intercepts connections to it. */
  async met(): Promise<void> {
    for (const [host, other] of [['a', 'b'], ['b', 'a']] as const) {
      await this.until(`${host} to know ${other}`, async () => {
        const { settled, intercept } = await this.status(host)
        return settled && intercept.members.includes(other)
      })
    }
  }

  /** A running guest was scanned by its host. */
  async counted({ name, host }: LabGuest): Promise<void> {
    await this.until(`${name} to be counted`, async () => {
      const known = (await this.status(host!.name)).guests.find((guest) => guest.name === name)
      return known?.state === 'running' && known.distinctPages > 0
    })
  }

  async until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    await waitFor(async () => (await isSo()) || undefined, {
      clock: systemClock, what, timeoutMs: NEWS_TIMEOUT_MS, pauseMs: 50,
    })
  }

  /** Guests to move, all at once. */
  async pairs(...all: readonly PairOptions[]): Promise<Pair[]> {
    const sources = await Promise.all(all.map((options) => this.source(options)))
    return await Promise.all(sources.map(async (source, index) => {
      return { source, destination: await this.destinationFor(source, all[index]) }
    }))
  }

  /** A running guest that its host has scanned. */
  async source({ from = 'a', further = [] }: PairOptions = {}): Promise<LabGuest> {
    const source = await this.guest(from, { name: `web${++this.#count}`, further })
    await source.ready()
    await this.counted(source)
    return source
  }

  /** A waiting QEMU for that guest. */
  async destinationFor({ name }: LabGuest, options: PairOptions = {}): Promise<LabGuest> {
    const { to = 'b', destinationMiB: memoryMiB = SMALL.memoryMiB, further = [], incoming = [] } = options
    return await this.guest(to, {
      name, memoryMiB, incoming: incoming.length === 0, paused: true, further: [...further, ...incoming],
    })
  }

  async guest(host: string, options: { name: string } & Partial<GuestOptions>): Promise<LabGuest> {
    const guest = await this.cluster.startGuest(host, { ...SMALL, qemu: this.release, ...options })
    this.#guests.push(guest)
    return guest
  }

  async pair(options: PairOptions = {}): Promise<Pair> {
    return (await this.pairs(options))[0]!
  }

  /** Through a tunnel between sockets. */
  unixDrive(): Drive {
    const { directory } = this.cluster
    const number = ++this.#count
    return { path: join(directory, 'a', `t${number}`), remotePath: join(directory, 'b', 'guests', `${number}.in`) }
  }

  /** Through a tunnel between loopback addresses. */
  tcpDrive(): Drive {
    const port = TUNNEL_PORT + ++this.#count
    return { path: `127.64.0.2:${port}`, remotePath: `127.64.0.9:${port}` }
  }

  /** By interception: as if there were no agents. */
  directDrive({ destination }: Pair, port = MANAGER_PORT + ++this.#count % 64): Drive {
    return { path: `${destination.host!.address}:${port}`, remotePath: `[::]:${port}` }
  }

  async openTunnel({ path, remotePath }: Drive): Promise<OpenTunnel> {
    const cancel = new AbortController()
    const news: Progress[] = []
    const asking = askAgent({
      path: this.cluster.agent('a').control, cancel: cancel.signal,
      request: { command: 'tunnel', arguments: { to: 'b', path, remotePath } },
      onProgress: (one) => { news.push(one) },
    })
    // The caller of `close` gets its error.
    asking.catch(() => {})
    const over = new AbortController()
    const seen = (event: string): Promise<unknown> =>
      waitFor(async () => news.find((one) => 'event' in one && one.event === event), {
        clock: systemClock, what: `${event}, after ${JSON.stringify(news)}`, timeoutMs: NEWS_TIMEOUT_MS, pauseMs: 50,
        signal: over.signal,
      })
    try {
      await Promise.race([asking, seen('listening')])
    } catch (error) {
      over.abort()
      throw error
    }
    return {
      begun: async () => { await seen('begun') },
      ended: async () => (await seen('ended') as { result: HandoffRecord }).result,
      refused: async () => await seen('refused') as { code: string },
      close: async () => {
        cancel.abort()
        // Its agent may have been killed.
        await asking.catch(() => undefined)
      },
    }
  }

  /** Starts the migration at both QEMUs, the destination first; returns when the source has begun. */
  async begin(pair: Pair, drive: Drive): Promise<void> {
    const { source, destination } = pair
    const { path, remotePath, capabilities = [], parameters = {}, postcopy } = drive
    for (const { qmp } of [source, destination]) {
      const all = ['return-path', ...capabilities, ...(postcopy === true ? ['postcopy-ram'] : [])]
      await qmp.execute('migrate-set-capabilities', {
        capabilities: all.map((capability) => ({ capability, state: true })),
      })
      if (Object.keys(parameters).length > 0) await qmp.execute('migrate-set-parameters', parameters)
    }
    await limit(source, drive.bytesPerSecond ?? (postcopy === true ? SLOW_BYTES_PER_SECOND : FAST_BYTES_PER_SECOND))
    await destination.qmp.execute('migrate-incoming', { uri: uriOf(remotePath) })
    // The agent's user differs from that of the lab's QEMUs.
    if (remotePath.startsWith('/')) chmodSync(remotePath, 0o777)
    await source.qmp.execute('migrate', { uri: uriOf(path) })
    if (postcopy !== true) return
    await untilStatus(source, 'active')
    await source.qmp.execute('migrate-start-postcopy')
    await limit(source, drive.bytesPerSecond ?? FAST_BYTES_PER_SECOND)
  }

  /** Waits, compares, lets the guest go on and the source end as managers do. */
  async complete({ source, destination }: Pair): Promise<void> {
    await untilStatus(source, 'completed')
    await untilStatus(destination, 'completed')
    assert.deepEqual((await compareArrived(source, destination)).differences, [])
    await source.stop()
    await destination.moreBeats(1)
  }

  /** Migrates a guest through a tunnel; returns the tunnel's result. `meanwhile`: called when both have completed. */
  async tunnelled(
    drive: Drive, meanwhile: (pair: Pair) => Promise<void> = async () => {}, options: PairOptions = {},
  ): Promise<HandoffRecord> {
    const pair = await this.pair(options)
    const tunnel = await this.openTunnel(drive)
    try {
      await this.begin(pair, drive)
      await untilStatus(pair.source, 'completed')
      await meanwhile(pair)
      await this.complete(pair)
      return await tunnel.ended()
    } finally {
      await tunnel.close()
    }
  }

  /** A host's record of a guest's migration. */
  async record(host: string, guest: string): Promise<HandoffRecord> {
    let record: HandoffRecord | undefined
    await this.until(`${host} to have a record of ${guest}`, async () => {
      const { handoffs } = await askAgent<HistoryResult>({
        path: this.cluster.agent(host).control, request: { command: 'history', arguments: { countMax: HISTORY_MAX } },
        answerMsMax: ANSWER_MS_MAX,
      })
      record = handoffs.find((one) => one.guest === guest)
      return record !== undefined
    })
    return record!
  }

  /** No migration is under way or kept at either host any more. */
  async untilNothingLeft(): Promise<void> {
    for (const host of ['a', 'b']) {
      await this.until(`nothing to be left on ${host}`, async () => {
        const { handoffs, held } = await this.status(host)
        return handoffs.length === 0 && held.length === 0
      })
    }
  }
}

export function uriOf(address: string): string {
  return address.startsWith('/') ? `unix:${address}` : `tcp:${address}`
}

export async function limit({ qmp }: LabGuest, bytesPerSecond = FAST_BYTES_PER_SECOND): Promise<void> {
  await qmp.execute('migrate-set-parameters', {
    'max-bandwidth': bytesPerSecond, 'max-postcopy-bandwidth': bytesPerSecond === FAST_BYTES_PER_SECOND
      ? 0 : bytesPerSecond,
  })
}

export async function untilStatus({ name, qmp }: LabGuest, ...wanted: readonly string[]): Promise<void> {
  await waitFor(async () => {
    const said = await qmp.execute('query-migrate') as { status?: string; 'error-desc'?: string }
    if (said.status === 'failed' && !wanted.includes('failed')) {
      throw new Error(`it failed: ${said['error-desc'] ?? ''}`)
    }
    return wanted.includes(said.status ?? 'none') ? true : undefined
  }, { clock: systemClock, what: `${name} to be ${wanted.join(' or ')}`, timeoutMs: NEWS_TIMEOUT_MS, pauseMs: 20 })
}

/** Whether a process is stopped (SIGSTOP). */
export function isStopped(pid: number): boolean {
  return /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
}
