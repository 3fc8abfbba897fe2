/**
 * Connections that managers of this host make to members, to hand them a guest, led through the agent without a word
 * to the manager: an nftables table has the kernel translate their address. The table lives and dies with the agent;
 * without it connections go direct.
 */
export { requireForeignPorts } from './ports.ts'
export {
  Interception, NO_INTERCEPTION, type InterceptionComponents, type InterceptionInit, type InterceptStatus,
} from './interception.ts'
export type { ArrivalCounts, Carry, InterceptedConnection } from './arrivals.ts'
export type { MetMember } from './chosen.ts'
export { whyNoInterception } from './nft.ts'
