import type {
  AcceptedPeer, Agent, AgentStatus, AuditRecord, CancelOutcome, ClusterView, EvacuateRequest, EvacuationNews,
  EvacuationResult, Examination, Handoff, HandoffProgress, HandoffRecord, HandoffResult, HeldGuest, Invitation,
  InviteRequest, KeysReport, MigrateRequest, PeerName, PopularPage, RecoverRequest, RotationRequest, SettleDecision,
  SettleOutcome, Tunnel, TunnelRequest,
} from '../../src/index.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { deferred, type Deferred } from '../../src/runtime/wait.ts'

export const STATUS: AgentStatus = {
  host: 'host-a', peerId: '12D3KooWtest', version: '9.9.9', kernel: 'avx2', settled: true, unsettled: [],
  peers: [{ host: 'host-b', peerId: '12D3KooWother', address: '/ip4/10.0.0.2/tcp/4001' }],
  guests: [{
    name: 'web<1>', pid: 4711, state: 'running', driver: 'qmp', manager: null, tenant: 'shared',
    ramBytes: 512e6,
    residentPages: 1000, distinctPages: 900,
  }],
  census: { distinctPages: 900, omittedPages: 0, scans: 3, bytes: 20_000 },
  popularity: { pages: 2, bytes: 3_000_000, refused: 0, unproven: 0, viewAgeMs: 5000 },
  placement: { wanted: 0, held: 0, pending: 0 },
  store: { pages: 0, bytes: 0, maxBytes: 0, damagedPages: 0 },
  traffic: {
    report: { sentBytes: 0, receivedBytes: 0 }, gossip: { sentBytes: 0, receivedBytes: 0 },
    swap: { sentBytes: 0, receivedBytes: 5e6 }, peers: { sentBytes: 0, receivedBytes: 0 },
    handoff: { sentBytes: 2e6, receivedBytes: 0 },
  },
  ledger: { savedBytes: 3e6, spentBytes: { report: 0, gossip: 0, swap: 5e6, peers: 0 }, netBytes: -2e6 },
  handoffs: [],
  ended: [],
  passages: {
    qemuBytes: 0, wireBytes: 0, pages: { zero: 0, ref: 0, literal: 0 }, digestMismatches: 0,
    refsFilledBy: { sentBefore: 0, resident: 0, store: 0, peer: 0, source: 0 },
  },
  held: [],
  strangers: 0,
  doubled: [],
  keys: { used: '00112233445566aa', accepts: ['00112233445566aa'], lacks: [], strangers: [], advice: null },
  refused: { offers: 0, names: 0 },
  invitations: { open: 0, joined: 0, refused: 0 },
  intercept: { active: false, why: null, members: [], carried: 0, direct: 0, refused: 0 },
  unusable: [],
}

/** All is well. */
export const EXAMINATION: Examination = {
  pid: 4700, nodeVersion: process.version, status: STATUS, announced: ['10.0.0.1:4001'], lane: '10.0.0.1:4002',
  peers: [{
    host: 'host-b', address: '/ip4/10.0.0.2/tcp/4001', why: null,
    there: { mesh: [{ address: '10.0.0.2:4001', why: null }], lane: { address: '10.0.0.2:4002', why: null } },
    answer: {
      version: '9.9.9', clockDifferenceMs: 3, roundTripMs: 1,
      back: { mesh: [{ address: '10.0.0.1:4001', why: null }], lane: { address: '10.0.0.1:4002', why: null } },
    },
  }],
  guests: [{
    name: 'web<1>', path: '/run/vms/web.qmp', qemuVersion: '7.2.0', why: null,
    known: { lookedAt: 900, popular: 300, byHost: { 'host-b': 300 } },
  }],
}

export const PAGES: PopularPage[] = [
  { prefix: '00000000ffffffff', guests: 40, hosts: 5, held: true, holders: ['host-a', 'host-b', 'host-c'] },
  { prefix: '0123456789abcdef', guests: 2, hosts: 2, held: false, holders: [] },
]

export const HELD: HeldGuest = {
  guest: 'db-1', from: 'host-c', sinceMs: 300_000, why: 'The agent on host-c does not answer.',
  otherCopy: 'It was paused when host-c was last heard of.', isOpen: true,
}

export function recordOf(result: HandoffResult, more: Partial<HandoffRecord> = {}): HandoffRecord {
  return { ...result, direction: 'outgoing', driver: 'qmp', endedAt: '2026-11-26T13:42:37.123Z', ...more }
}

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
    arrivedState: status === 'completed' ? 'running' : null, totalMs: 2100, downtimeMs: 80,
    qemuBytes: 256e6, wireBytes: 32e6, receivedWireBytes: 1e6, peerBytes: 0, channels: 1,
    pages: { total: 100, zero: 40, ref: 50, literal: 10 },
    refsFilledBy: { sentBefore: 5, resident: 45, store: 0, peer: 0, source: 0 },
    rawBytes: 1000, literalBytes: 40_960, literalWireBytes: 10_000, digestMatched: true,
    ledger: {
      savedBytes: 256e6 - 32e6 - 1e6,
      spentBytes: { source: { report: 0, gossip: 0, swap: 0 }, destination: { report: 0, gossip: 0, swap: 7e6 } },
      netBytes: 256e6 - 32e6 - 1e6 - 7e6,
    },
  }
}

/** The host that a guest was on its way to when its post-copy broke. */
const BROKEN_TO = 'host-b'

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
  readonly tunnels: { request: TunnelRequest; isClosed: boolean }[] = []
  readonly end: Deferred<void> = deferred()
  startError: Error | undefined
  /** False: as if every guest had switched over already. */
  isCancellable = true
  popularPages: PopularPage[] = PAGES
  heldGuests: HeldGuest[] = [HELD]
  /** What a guest that is let go on does then; undefined: its QEMU refuses. */
  settledState: SettleOutcome['state'] | undefined = 'running'
  records: HandoffRecord[] = []
  view: ClusterView = { hosts: [], silent: [] }
  /** What an evacuation tells, and comes to. */
  evacuation: (
    signal: AbortSignal | undefined, onNews: (news: EvacuationNews) => void,
  ) => Promise<Pick<EvacuationResult, 'status' | 'guests'>> = async () => ({ status: 'completed', guests: [] })
  audited: AuditRecord[] = []
  peerNames: PeerName[] = []
  readonly rotations: RotationRequest[] = []
  keysReport: KeysReport = { key: null, hosts: [], absent: [], complete: true }
  /** Called at each migrate and recover, to end it where a test does not want to by hand. */
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

  recover({ guest, signal }: RecoverRequest): Handoff {
    this.calls.push('recover')
    return this.migrate({ guest, to: BROKEN_TO, mode: 'postcopy', ...(signal === undefined ? {} : { signal }) })
  }

  async estimate({ guest, to, mode = 'precopy' }: MigrateRequest) {
    return { guest, from: 'host-a', to, mode, dryRun: true as const, distinctPages: 200, pagesAtDestination: 90 }
  }

  async evacuate({ dryRun = false, onNews, signal }: EvacuateRequest): Promise<EvacuationResult> {
    this.calls.push('evacuate')
    const result = await this.evacuation(signal, (news) => onNews?.(news))
    return { from: 'host-a', totalMs: 1500, wireBytes: 2000, dryRun, ...result }
  }

  invite({ ttlMs, uses }: InviteRequest): Invitation {
    this.calls.push(`invite ${ttlMs} ${uses}`)
    return { token: 'pmjoin1-secret', address: '10.0.0.1:4002', expiresAt: '2026-11-26T14:42:37.123Z', uses }
  }

  async keys(request: RotationRequest): Promise<KeysReport> {
    this.rotations.push(request)
    return this.keysReport
  }

  async cluster(): Promise<ClusterView> {
    return this.view
  }

  async cancel(guest: string): Promise<CancelOutcome> {
    const handoff = this.handoffs.find(({ request }) => request.guest === guest)
    if (handoff === undefined) {
      throw new PagemeshError('no-handoff', `No handoff of ${guest} runs.`, {
        fault: 'usage', advice: 'Look at status.',
      })
    }
    if (this.isCancellable) handoff.outcome.resolve(resultOf(handoff.request, 'cancelled', 'Cancelled.'))
    const result = await handoff.outcome.promise
    return { status: result.status === 'completed' ? 'too-late' : result.status, result }
  }

  async tunnel(request: TunnelRequest): Promise<Tunnel> {
    const closed = deferred<void>()
    this.tunnels.push({ request, isClosed: false })
    const tunnel = this.tunnels.at(-1)!
    return {
      closed: closed.promise,
      close: async () => {
        tunnel.isClosed = true
        closed.resolve()
      },
    }
  }

  held(guest: string): HeldGuest {
    const held = this.heldGuests.find((one) => one.guest === guest)
    if (held !== undefined) return held
    throw new PagemeshError('not-held', `No guest named ${guest} is held here.`, {
      fault: 'usage', advice: 'Look at status.',
    })
  }

  async settle(guest: string, decision: SettleDecision): Promise<SettleOutcome> {
    this.calls.push(`settle ${guest} ${decision}`)
    const { settledState } = this
    this.held(guest)
    if (settledState === undefined) {
      throw new PagemeshError('guest-cannot-run', `The QEMU of ${guest} refuses.`, {
        fault: 'guest', advice: 'Look at its disks.',
      })
    }
    return { guest, decision, state: decision === 'end' ? 'ended' : settledState }
  }

  history(): HandoffRecord[] {
    return this.records
  }

  async audit(countMax: number): Promise<AuditRecord[]> {
    return this.audited.slice(0, countMax)
  }

  peers(): PeerName[] {
    return this.peerNames
  }

  acceptPeer(name: string, peerId?: string): AcceptedPeer {
    const claims = this.peerNames.find(({ host }) => host === name)?.claims ?? []
    const accepted = peerId ?? claims[0]?.peerId
    if (accepted !== undefined) return { host: name, peerId: accepted, before: '12D3KooWother' }
    throw new PagemeshError('no-claim', `Nobody claims ${name}.`, { fault: 'usage', advice: 'Start it.' })
  }

  status(): AgentStatus {
    return STATUS
  }

  async examine(to: string | undefined): Promise<Examination> {
    return { ...EXAMINATION, peers: EXAMINATION.peers.filter(({ host }) => to === undefined || host === to) }
  }

  pages(countMax: number): PopularPage[] {
    return this.popularPages.slice(0, countMax)
  }

  async metrics(): Promise<string> {
    return 'pagemesh_peers 1\n'
  }
}
