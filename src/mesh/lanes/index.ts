/** What a thread without a mesh needs of lanes: it makes TLS over connections that it is handed. Loads no libp2p. */
export type { HandedLane, Lane } from './lane.ts'
export { openHandedLane, secureLane } from './securelane.ts'
