import { join } from 'node:path'

import type { GuestOptions, LabCluster, LabGuest } from '../../testnet/index.ts'
import { OtherClient, type DatedEvent } from './otherclient.ts'
import type { Trace } from './trace.ts'

/** A time in which a copy ran, milliseconds since 1970; to `Infinity` while it runs. */
export interface Span {
  fromMs: number
  toMs: number
}

/** The settings of a QEMU that the agent must restore. */
export type Settings = Record<string, unknown>

/** Boots in seconds. With less memory its initramfs would not fit. */
export const SMALL = { system: 'busybox', work: 'idle', memoryMiB: 96 } as const

/** Starts a QEMU on a host of the lab that is watched from its start. */
export async function startWitnessed(
  cluster: LabCluster, host: string, options: Omit<GuestOptions, 'directory' | 'host'>, trace: Trace,
): Promise<Witness> {
  const path = join(cluster.directory, host, 'guests', `${options.name}.other`)
  const guest = await cluster.startGuest(host, {
    ...options, further: [...options.further ?? [], '-qmp', `unix:${path},server=on,wait=off`],
  })
  const witness = await Witness.of(host, guest, path, trace)
  trace.add(host, `QEMU ${guest.pid} started${options.incoming === true ? ', waits' : ''}`)
  return witness
}

/** One QEMU as seen from outside: its events, with its own times, and its answers to another client. */
export class Witness {
  readonly host: string
  readonly guest: LabGuest
  readonly client: OtherClient
  readonly spans: Span[] = []
  readonly #trace: Trace
  readonly #stopListeners = new Set<() => void>()
  #hasArrived = false
  #migration: string | undefined
  #wasQuit = false
  #stoppedAtMs = -Infinity
  readonly #pid: number

  static async of(host: string, guest: LabGuest, clientPath: string, trace: Trace): Promise<Witness> {
    const witness = new Witness(host, guest, await OtherClient.connect(clientPath), trace)
    if (await witness.client.state() === 'running' && witness.spans.length === 0) witness.#begin(Date.now())
    return witness
  }

  private constructor(host: string, guest: LabGuest, client: OtherClient, trace: Trace) {
    this.host = host
    this.guest = guest
    this.client = client
    this.#pid = guest.pid
    this.#trace = trace
    client.onEvent((event) => this.#take(event))
    void client.gone.then(() => {
      this.#end(Date.now())
      trace.add(host, `QEMU ${this.#pid} hung up`)
    })
  }

  /** Whether all of a migrating guest arrived here; known only with QEMU's `events` capability. */
  get hasArrived(): boolean {
    return this.#hasArrived
  }

  /** The migration status of its last event; known only with its `events` capability. */
  get migration(): string | undefined {
    return this.#migration
  }

  /** Whether a client told this QEMU to quit. */
  get wasQuit(): boolean {
    return this.#wasQuit
  }

  /** Its last STOP by its own clock; undefined if there was none since `sinceMs`. */
  stoppedSince(sinceMs: number): number | undefined {
    return this.#stoppedAtMs >= sinceMs ? this.#stoppedAtMs : undefined
  }

  /** Resolves at its next STOP. */
  async nextStop(): Promise<void> {
    await new Promise<void>((resolve) => {
      const listener = (): void => {
        this.#stopListeners.delete(listener)
        resolve()
      }
      this.#stopListeners.add(listener)
    })
  }

  async settings(): Promise<Settings> {
    const capabilities = await this.client.execute('query-migrate-capabilities') as
      { capability: string; state: boolean }[]
    const parameters = await this.client.execute('query-migrate-parameters') as Settings
    return { ...parameters, ...Object.fromEntries(capabilities.map(({ capability, state }) => [capability, state])) }
  }

  /** Makes QEMU send events about its migration. */
  async tellEvents(): Promise<void> {
    await this.client.execute('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] })
  }

  async stop(): Promise<void> {
    this.client.close()
    await this.guest.stop()
  }

  #take({ name, data, atMs }: DatedEvent): void {
    this.#trace.add(this.host, `QEMU ${this.#pid} ${name} ${JSON.stringify(data)}`, atMs)
    if (name === 'RESUME') this.#begin(atMs)
    if (name === 'STOP') {
      this.#stoppedAtMs = atMs
      this.#end(atMs)
      for (const listener of this.#stopListeners) listener()
    }
    if (name === 'MIGRATION') {
      this.#migration = String(data['status'])
      this.#hasArrived ||= this.#migration === 'completed'
    }
    if (name === 'SHUTDOWN' && String(data['reason']).startsWith('host-qmp')) this.#wasQuit = true
  }

  #begin(atMs: number): void {
    if (this.spans.at(-1)?.toMs !== Infinity) this.spans.push({ fromMs: atMs, toMs: Infinity })
  }

  #end(atMs: number): void {
    const last = this.spans.at(-1)
    if (last?.toMs === Infinity) last.toMs = atMs
  }
}

/** How long two copies ran at the same time, ms. */
export function overlapMs(left: readonly Span[], right: readonly Span[]): number {
  let sum = 0
  for (const one of left) {
    for (const other of right) {
      sum += Math.max(0, Math.min(one.toMs, other.toMs, Date.now()) - Math.max(one.fromMs, other.fromMs))
    }
  }
  return sum
}
