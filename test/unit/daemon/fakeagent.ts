import type {
  Agent, AgentStatus, Handoff, HandoffProgress, HandoffResult, MigrateRequest, PopularPage,
} from '../../../src/index.ts'
import { ledgerOf, noBytesSpent } from '../../../src/handoff/ledger.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { deferred, type Deferred } from '../../../src/runtime/wait.ts'

export const STATUS: AgentStatus = {
  host: 'host-a', peerId: '12D3KooWtest', version: '9.9.9', settled: true,
  peers: [{ host: 'host-b', peerId: '12D3KooWother', address: '/ip4/10.0.0.2/tcp/4001' }],
  guests: [{ name: 'web<1>', pid: 4711, state: 'running', ramBytes: 512e6, residentPages: 1000, distinctPages: 900 }],
  census: { distinctPages: 900, omittedPages: 0, scans: 3, bytes: 20_000 },
  popularity: { pages: 2, bytes: 3_000_000, refused: 0 },
  placement: { wanted: 0, held: 0, pending: 0 },
  store: { pages: 0, bytes: 0, maxBytes: 0, damagedPages: 0 },
  traffic: {
    report: { sentBytes: 0, receivedBytes: 0 }, gossip: { sentBytes: 0, receivedBytes: 0 },
    swap: { sentBytes: 0, receivedBytes: 5e6 }, peers: { sentBytes: 0, receivedBytes: 0 },
    handoff: { sentBytes: 2e6, receivedBytes: 0 },
  },
  ledger: { savedBytes: 3e6, spentBytes: { report: 0, gossip: 0, swap: 5e6, peers: 0 }, netBytes: -2e6 },
  handoffs: [],
  strangers: 0,
}

export const PAGES: PopularPage[] = [
  { prefix: '00000000ffffffff', guests: 40, hosts: 5, held: true, holders: ['host-a', 'host-b', 'host-c'] },
  { prefix: '0123456789abcdef', guests: 2, hosts: 2, held: false, holders: [] },
]

export function progressOf(request: MigrateRequest): HandoffProgress {
  return {
    guest: request.guest, from: 'host-a', to: request.to, mode: request.mode ?? 'precopy', phase: 'precopy',
    elapsedMs: 1500, percent: 41.7, qemuBytes: 256e6, wireBytes: 32e6, wireBytesPerSecond: 1e8, remainingBytes: 9e6,
  }
}

export function resultOf(request: MigrateRequest, status: HandoffResult['status'], reason?: string): HandoffResult {
  return {
    guest: request.guest, from: 'host-a', to: request.to, mode: request.mode ?? 'precopy', status,
    ...(reason === undefined ? {} : { reason }),
    totalMs: 2100, downtimeMs: 80, qemuBytes: 256e6, wireBytes: 32e6, receivedWireBytes: 1e6, peerBytes: 0,
    pages: { total: 100, zero: 40, ref: 50, literal: 10 },
    refsFilledBy: { sentBefore: 5, resident: 45, store: 0, peer: 0, source: 0 },
    rawBytes: 1000, literalBytes: 40_960, literalWireBytes: 10_000, digestMatched: true,
    ledger: ledgerOf(
      { qemuBytes: 256e6, wireBytes: 32e6, receivedWireBytes: 1e6, peerBytes: 0 },
      { source: noBytesSpent(), destination: { ...noBytesSpent(), swap: 7e6 } },
    ),
  }
}

/** A handoff that the test ends, and that a cancel ends. */
export interface FakeHandoff {
  request: MigrateRequest
  outcome: Deferred<HandoffResult>
}

/** An agent that does as the test says: its handoffs show one progress and then wait. */
export class FakeAgent implements Agent {
  readonly handoffs: FakeHandoff[] = []
  /** Calls in order, by name. */
  readonly calls: string[] = []
  readonly end: Deferred<void> = deferred()
  startError: Error | undefined
  /** False: as if every guest had switched over already. */
  isCancellable = true
  popularPages: PopularPage[] = PAGES
  /** Called at each migrate, to end it where a test does not want to by hand. */
  onMigrate: ((handoff: FakeHandoff) => void) | undefined

  async warmUp(): Promise<void> {}

  get ended(): Promise<void> {
    return this.end.promise
  }

  async start(): Promise<void> {
    this.calls.push('start')
    if (this.startError !== undefined) throw this.startError
  }

  async stop(): Promise<void> {
    this.calls.push('stop')
    for (const { request, outcome } of this.handoffs) outcome.resolve(resultOf(request, 'cancelled', 'It stops.'))
  }

  addGuest(): void {
    this.calls.push('addGuest')
  }

  removeGuest(): void {
    this.calls.push('removeGuest')
  }

  migrate(request: MigrateRequest): Handoff {
    const handoff: FakeHandoff = { request, outcome: deferred() }
    this.handoffs.push(handoff)
    request.signal?.addEventListener('abort', () => {
      if (this.isCancellable) handoff.outcome.resolve(resultOf(request, 'cancelled', 'Cancelled.'))
    })
    this.onMigrate?.(handoff)
    const running: Handoff = Object.assign(handoff.outcome.promise.then((result) => result), {
      on(_event: 'progress', listener: (progress: HandoffProgress) => void) {
        queueMicrotask(() => listener(progressOf(request)))
        return running
      },
    })
    return running
  }

  async estimate({ guest, to, mode = 'precopy' }: MigrateRequest) {
    return { guest, from: 'host-a', to, mode, dryRun: true as const, distinctPages: 200, pagesAtDestination: 90 }
  }

  cancel(guest: string): void {
    const handoff = this.handoffs.find(({ request }) => request.guest === guest)
    if (handoff === undefined) {
      throw new PagemeshError('no-handoff', `No handoff of ${guest} runs.`, {
        fault: 'usage', advice: 'Look at status.',
      })
    }
    handoff.outcome.resolve(resultOf(handoff.request, 'cancelled', 'Cancelled.'))
  }

  status(): AgentStatus {
    return STATUS
  }

  pages(countMax: number): PopularPage[] {
    return this.popularPages.slice(0, countMax)
  }

  async metrics(): Promise<string> {
    return 'pagemesh_peers 1\n'
  }
}
