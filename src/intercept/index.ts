/**
 * Redirects migration connections of this host's managers to members through the agent, invisibly to the manager: an
 * nftables table makes the kernel translate the destination address (DNAT). The table exists only while the agent runs;
 * without it connections go direct.
 */
export { requireForeignPorts } from './ports.ts'
export {
  Interception, NO_INTERCEPTION, type InterceptionComponents, type InterceptionInit, type InterceptStatus,
} from './interception.ts'
export type { ArrivalCounts, Carry, InterceptedConnection } from './arrivals.ts'
export type { MetMember } from './chosen.ts'
export { whyNoInterception } from './nft.ts'
