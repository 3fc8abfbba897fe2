/**
 * Other hosts as our code sees them (`mesh.ts`): members by name, topics, streams for small control messages, and bulk
 * lanes for many bytes. `libp2p/libp2p.ts` is the only file that imports libp2p; `memory/` is the same mesh inside one
 * process, for tests. `admission/` decides who is let in, `invitation/` brings new hosts in, and `members/` finds the
 * others and keeps their names.
 *
 * Limits: a control message is at most MESSAGE_BYTES_MAX; anything larger goes over a lane.
 */
export { macOf } from './admission/proof.ts'
export {
  clusterKeyText, deriveKeys, KEY_ID_FORM, keyEpoch, keyIdOf, readClusterKey, readClusterKeys, writeClusterKey,
  type ClusterKeys, type HeldKeys,
} from './clusterkey.ts'
export type { GivenKeys, Welcome } from './invitation/exchange.ts'
export {
  INVITATION_LIMITS, Invitations, type InvitationNews, type JoinRefusal, type ToldRefusal,
} from './invitation/invitations.ts'
export { joinCluster, type JoinedCluster, type JoinRequest } from './invitation/joining.ts'
export { replaceClusterKeys } from './keyfile.ts'
export { KeyRing, type MemberKeys, type RingKey } from './keyring.ts'
export { defaultLane } from './lanes/laneaddress.ts'
export { mayDial, plainHost } from './lanes/lanehosts.ts'
export type { HandedLane, Lane, LanePass, LaneTaker, LaneTicket, UnsecuredLane } from './lanes/lane.ts'
export { createLibp2pMesh, type Libp2pMeshInit } from './libp2p/libp2p.ts'
export { GOSSIP_BYTES_MAX, MESSAGE_BYTES_MAX } from './limits.ts'
export { Circle, type MeshPart } from './members/circle.ts'
export { NamePins, PIN_LIMITS, type NameClaim, type NamePin } from './members/namepins.ts'
export { MemoryNetwork } from './memory/memorynetwork.ts'
export type { Member, Mesh, MeshTraffic, MessageStream, Unsubscribe } from './mesh.ts'
export { Standing } from './standing.ts'
export { MESSAGE_LENGTH_BYTES } from './streams/framing.ts'
export { StreamTraffic } from './streams/streamtraffic.ts'
