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
  createAgent, defaultOf, OPTIONS, parseDialRule, readTenants, TENANTS_EXPECTED, type AcceptedPeer, type AcceptRule,
  type Agent, type AgentComponents, type AgentOptions, type AgentStatus, type AuditEvent, type AuditRecord,
  type CancelOutcome, type ClusterView, type ConfigOptions, type DialRule, type EndedCount, type EvacuatedGuest,
  type EvacuateRequest, type EvacuationNews, type EvacuationResult, type Examination, type ExaminedGuest, type Handoff,
  type HandoffRecord, type HeldGuest, type HostKeys, type HostSummary, type Invitation, type InviteRequest,
  type KeysNews, type KeysReport, type KeysState, type KnownPages, type LedgerSample, type MemoryRoom,
  type MigrateRequest, type MovingGuest, type OptionInfo, type OptionKind, type OptionValue, type PassageSums,
  type PastHandoff, type PeerName, type PeerReach, type PopularPage, type Reached, type RecoverRequest, type RelayNews,
  type RelayStatus, type RotationRequest, type SettleDecision, type SettleOutcome, type TenantRule, type Tenants,
  type Traffic, type Tunnel, type TunnelNews, type TunnelRequest,
} from './agent/index.ts'
export {
  qemuVersionAt, scanQemus, type BesideChannels, type BlockDescription, type DeviceDescription, type DeviceList,
  type DiscoveredGuest, type Guest, type GuestMemory, type GuestState, type IncomingMigration, type MachineDescription,
  type Managed, type Manager, type MigrationMode, type MigrationNews, type MigrationProgress, type MigrationSide,
  type OpenInit, type OutgoingMigration, type PrepareOptions, type ProcessIdentity, type ProcessMemoryBlock,
  type ProcessMemoryLayout, type ProcessScan, type QemuArguments, type RamBlock, type ScannedQemu, type SettingsUndo,
  type UnusableGuest,
} from './guest/index.ts'
export type { SpentBytes } from './conversation/index.ts'
export type { IncomingStatus } from './handoff/index.ts'
export type {
  Expected, HandoffEstimate, HandoffLedger, HandoffPhase, HandoffProgress, HandoffResult, Obstacle, PageCounts,
  RelayResult,
} from './transfer/index.ts'
export { whyNoInterception, type ArrivalCounts, type InterceptStatus } from './intercept/index.ts'
export {
  clusterKeyText, createLibp2pMesh, defaultLane, deriveKeys, Invitations, joinCluster, KeyRing, MemoryNetwork, NamePins,
  readClusterKey, writeClusterKey, type ClusterKeys, type GivenKeys, type HandedLane, type HeldKeys,
  type InvitationNews, type JoinedCluster, type JoinRefusal, type JoinRequest, type Lane, type LanePass, type LaneTaker,
  type LaneTicket, type Libp2pMeshInit, type Member, type MemberKeys, type Mesh, type MeshTraffic, type MessageStream,
  type NameClaim, type NamePin, type RingKey, type ToldRefusal, type UnsecuredLane, type Unsubscribe, type Welcome,
} from './mesh/index.ts'
export { PAGE_BYTES, type Delivery, type InstructionSet, type KernelInUse, type PageSourceKind } from './page/index.ts'
export type { Endpoint } from './net/endpoint.ts'
export type { HandedConnection, Taker } from './net/handover.ts'
export type { HostPort } from './net/hostport.ts'
export type { PortRange } from './net/portranges.ts'
export type { Attempt } from './net/tcpprobe.ts'
export { systemClock, type Clock, type Timer } from './runtime/clock.ts'
export {
  describeError, ERROR_CODES, PagemeshError, type ErrorCode, type ErrorDetails, type Fault,
} from './runtime/errors.ts'
export { createLog, silentLog, type Log, type LogFields, type LogLevel } from './runtime/log.ts'
export { systemRandom, type Random } from './runtime/random.ts'
export { formatBytes, formatRate, parseBytes, parseRate } from './text/units.ts'
