import assert from 'node:assert/strict'
import { join } from 'node:path'

import { askAgent } from '../../src/daemon/control/index.ts'
import type { Right } from '../../src/host/rights.ts'
import type { AgentStatus, HandoffResult } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import {
  createCluster, resultOf, waitFor, type CommandOutcome, type GuestOptions, type LabCluster, type LabGuest,
} from '../../testnet/index.ts'
import { Trace } from '../support/trace.ts'
import type { Held } from '../support/verdict.ts'
import { SMALL, startWitnessed, type Witness } from '../support/witness.ts'
import { HeldCommand } from './heldcommand.ts'

export interface Moved extends CommandOutcome {
  /** What `pagemesh migrate --json` said of the move. */
  words: HandoffResult | undefined
}

export type Status = AgentStatus & { held?: Held[] }

export type WitnessKind = Partial<Omit<GuestOptions, 'directory' | 'host' | 'name'>>
export type WitnessOptions = WitnessKind & { name: string }

const STATUS_MS_MAX = 5000
const LOG_LINES_SHOWN = 12
const SEEN_TIMEOUT_MS = 30_000
const STATE_TIMEOUT_MS = 30_000
const FREE_TIMEOUT_MS = 15_000
/** Two hosts with an agent each; a client of our own watches their QEMUs. */
export class TwoHosts {
  readonly cluster: LabCluster
  readonly trace = new Trace()
  readonly #witnesses = new Set<Witness>()
  #commandCount = 0

  /**
   * @param settings further configuration of both agents
   * @param rights capabilities of both beyond their service's
   */
  static async create(settings: Record<string, unknown> = {}, rights: readonly Right[] = []): Promise<TwoHosts> {
    return new TwoHosts(await createCluster({
      hosts: ['a', 'b'], settings: { census: { intervalSeconds: 5 }, store: { maxBytes: 0 }, ...settings }, rights,
    }))
  }

  private constructor(cluster: LabCluster) {
    this.cluster = cluster
  }

  /** Starts a small QEMU that is watched from its start. */
  async start(host: string, options: WitnessOptions): Promise<Witness> {
    const witness = await startWitnessed(this.cluster, host, { ...SMALL, ...options }, this.trace)
    this.#witnesses.add(witness)
    return witness
  }

  async stop(...witnesses: (Witness | undefined)[]): Promise<void> {
    for (const witness of witnesses) {
      if (witness === undefined || !this.#witnesses.delete(witness)) continue
      await witness.stop()
    }
  }

  /** Ends all QEMUs; the agents stay. */
  async stopAll(): Promise<void> {
    await this.stop(...this.#witnesses)
  }

  /** Starts a command whose request reaches the agent of `host` only when released. */
  async hold(host: string, ...words: string[]): Promise<HeldCommand> {
    const path = join(this.cluster.directory, `held-${++this.#commandCount}`)
    return await HeldCommand.start(this.cluster.network.host(host), this.control(host), path, words)
  }

  /** Resolves when both agents of a move see their QEMUs, which takes an operator no extra wait. */
  async seen(...witnesses: Witness[]): Promise<void> {
    for (const { host, guest } of witnesses) {
      await waitFor(async () => {
        const known = (await this.status(host)).guests.find(({ name }) => name === guest.name)
        return known?.pid === guest.pid ? true : undefined
      }, {
        clock: systemClock, what: `the agent of ${host} to see ${guest.name} (${guest.pid})`,
        timeoutMs: SEEN_TIMEOUT_MS, pauseMs: 100,
      })
    }
  }

  async migrate(from: string, guest: string, to: string, ...words: string[]): Promise<Moved> {
    this.trace.add('operator', `migrate ${guest} from ${from} to ${to} ${words.join(' ')}`)
    return this.toldMove(await this.cluster.agent(from).command('migrate', guest, '--to', to, '--json', ...words))
  }

  /** Records the output of a move. */
  toldMove(outcome: CommandOutcome): Moved {
    const words = resultOf(outcome)
    const shown = words === undefined ? outcome.errors
      : JSON.stringify({
        status: words.status, code: words.code, reason: words.reason, arrivedState: words.arrivedState,
        downtimeMs: words.downtimeMs,
      })
    this.trace.add('operator', `migrate ended with ${outcome.status}: ${shown}`)
    return { ...outcome, words }
  }

  /** Asks the agent like `pagemesh status`, without starting a program; rejects after five seconds. */
  async status(host: string): Promise<Status> {
    return await askAgent({ path: this.control(host), request: { command: 'status' }, answerMsMax: STATUS_MS_MAX })
  }

  control(host: string): string {
    return join(this.cluster.directory, host, 'control.sock')
  }

  /** Both agents are killed and restarted, to repair them. */
  async restartAgents(): Promise<void> {
    for (const host of ['a', 'b']) await this.cluster.agent(host).kill()
    for (const host of ['a', 'b']) await this.cluster.restartAgent(host)
    await this.joined()
  }

  /** Resolves when both agents see each other. */
  async joined(): Promise<void> {
    for (const host of ['a', 'b']) {
      await waitFor(async () => (await this.status(host)).peers.length > 0 ? true : undefined, {
        clock: systemClock, what: `the agent of ${host} to see the other`, timeoutMs: SEEN_TIMEOUT_MS, pauseMs: 100,
      })
    }
  }

  /** Checks that no agent is busy with a guest or holds one: every name is free. */
  async expectFree(): Promise<void> {
    for (const host of ['a', 'b']) {
      await waitFor(async () => (await this.status(host)).handoffs.length === 0 ? true : undefined, {
        clock: systemClock, what: `the agent of ${host} to end its handoffs: it is wedged`, timeoutMs: FREE_TIMEOUT_MS,
        pauseMs: 100,
      })
      assert.deepEqual((await this.status(host)).held ?? [], [], `nothing is held at ${host}`)
    }
  }

  /** Resolves when the guest is in one of these states. */
  async untilState(witness: Witness, ...states: string[]): Promise<string> {
    return await waitFor(async () => {
      const state = await witness.client.state()
      return states.includes(state) ? state : undefined
    }, {
      clock: systemClock, what: `${witness.guest.name} at ${witness.host} to be ${states.join(' or ')}`,
      timeoutMs: STATE_TIMEOUT_MS, pauseMs: 20,
    })
  }

  /** The trace and the agents' last log lines, for the message of a failed test. */
  evidence(): string {
    const logs = ['a', 'b'].map((host) => {
      const isRecent = (line: string): boolean => Number(/"time":(\d+)/.exec(line)?.[1] ?? 0) >= this.trace.firstMs
      const lines = this.cluster.agent(host).log.split('\n').filter(isRecent).slice(-LOG_LINES_SHOWN)
      return `agent of ${host}:\n  ${lines.join('\n  ')}`
    })
    return [this.trace.toString(), ...logs].join('\n')
  }

  async close(): Promise<void> {
    await this.stopAll()
    await this.cluster.close()
  }
}

/** A guest's disk as words for QEMU. */
export function diskWords(path: string): string[] {
  return [
    '-blockdev', `driver=file,node-name=own-file,filename=${path}`,
    '-blockdev', 'driver=qcow2,node-name=own,file=own-file',
    '-device', 'virtio-blk-pci,drive=own',
  ]
}

/** The guest keeps working: it sends more heartbeats. */
export async function expectBeats(guest: LabGuest): Promise<void> {
  await guest.moreBeats(1, 10_000)
}
