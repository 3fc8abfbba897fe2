/**
 * Pagemesh as a library: host agents embed it with `createAgent`.
 *
 *   const agent = await createAgent({ name: 'host-a', clusterKey: '/etc/pagemesh/cluster.key' })
 *   await agent.start()
 *   agent.addGuest(guestMemory)
 *   const result = await agent.migrate({ guest: 'web-1', to: 'host-b' }).on('progress', show)
 *   await agent.stop()
 */
export {
  createAgent, defaultOf, OPTIONS, parseDialRule, type AcceptedPeer, type AcceptRule, type Agent,
  type AgentComponents, type AgentOptions, type AgentStatus, type AuditRecord, type CancelOutcome, type ConfigOptions,
  type Handoff, type HandoffRecord, type HeldGuest, type MigrateRequest, type OptionInfo, type OptionKind,
  type OptionValue, type PeerName, type PopularPage, type RecoverRequest, type RelayNews, type SettleDecision,
  type SettleOutcome, type Traffic, type Tunnel, type TunnelNews, type TunnelRequest,
} from './agent/index.ts'
export {
  scanQemus, type Guest, type GuestMemory, type GuestState, type IncomingMigration, type Managed,
  type MigrationMode, type MigrationProgress, type OutgoingMigration, type ProcessScan, type RamBlock,
} from './guest/index.ts'
export type {
  HandoffEstimate, HandoffPhase, HandoffProgress, HandoffResult, PageCounts,
} from './transfer/index.ts'
export { whyNoInterception, type InterceptStatus } from './intercept/index.ts'
export { createLibp2pMesh, MemoryNetwork, writeClusterKey, type Mesh } from './mesh/index.ts'
export { PAGE_BYTES } from './page/index.ts'
export { systemClock, type Clock } from './runtime/clock.ts'
export { describeError, PagemeshError, type Fault } from './runtime/errors.ts'
export { createLog, silentLog, type Log, type LogLevel } from './runtime/log.ts'
export { formatBytes, formatRate, parseBytes, parseRate } from './text/units.ts'
