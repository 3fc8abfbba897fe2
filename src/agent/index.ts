/**
 * A host's agent: wires mesh, guests, census and handoffs together and runs them. The daemon uses this interface and
 * nothing else. Several agents may run in one process.
 */
export type { HostKeys, KeysNews, KeysReport, KeysState, RotationRequest } from '../rotation/index.ts'
export { parseDialRule, type DialRule, type RelayNews, type Tunnel } from '../relay/index.ts'
export type { AcceptRule } from './acceptance.ts'
export { createAgent } from './agent.ts'
export type {
  Agent, CancelOutcome, Handoff, HandoffRecord, HeldGuest, MigrateRequest, RecoverRequest, SettleDecision,
  SettleOutcome, TunnelNews, TunnelRequest,
} from './api.ts'
export type { AuditRecord } from './audit.ts'
export type { AuditEvent } from './audittally.ts'
export type { ExaminedGuest, Examination, KnownPages } from './examination.ts'
export type { EndedCount, PassageSums } from './endedtally.ts'
export type { EvacuatedGuest, EvacuateRequest, EvacuationNews, EvacuationResult } from './evacuation.ts'
export type { Invitation, InviteRequest } from './inviting.ts'
export type { LedgerSample } from './ledgerseries.ts'
export {
  defaultOf, OPTIONS, type AgentOptions, type ConfigOptions, type OptionInfo, type OptionKind, type OptionValue,
} from './options.ts'
export type { AgentComponents } from './parts.ts'
export type { AcceptedPeer, PeerName } from './peers.ts'
export type { PopularPage } from './popularpages.ts'
export type { PeerReach, Reached } from './reach.ts'
export type { RelayStatus } from './relays.ts'
export type { AgentStatus, Traffic } from './status.ts'
export type { ClusterView } from './summaries.ts'
export { readTenants, TENANTS_EXPECTED, type TenantRule, type Tenants } from './tenants.ts'
export type { HostSummary, MemoryRoom, MovingGuest, PastHandoff } from './summary.ts'
