/**
 * Migrations that others drive: libvirt, Proxmox, an operator at QMP. Their connections pass through the agents, with
 * references instead of pages. A QEMU gets only what its own peer wrote, no guest is started or stopped, and the
 * outcome is inferred from bytes, sockets and processes alone.
 *
 *   manager or QEMU --connection--> source's agent ==passage==> destination's agent --connection--> QEMU that waits
 *
 * A relay is one migration: its main channel and those beside it, made at the destination in the order in which they
 * came. `messages.ts` has the messages of the two agents; `outcome.ts`, `grouping.ts` and `allowed.ts` decide.
 */
export { formatRelayAddress, parseRelayAddress, plainHost, type RelayAddress } from './address.ts'
export { mayDial, parseDialRule, type DialRule, type OwnAddresses } from './allowed.ts'
export type { IncomingRelay } from './incomingrelay.ts'
export { IncomingRelays } from './incomingrelays.ts'
export type { MainChannel } from './outcome.ts'
export { RELAY_PROTOCOL } from './messages.ts'
export type { OutgoingRelay } from './outgoingrelay.ts'
export { arrivalResult, UNKNOWN_GUEST } from './relayresult.ts'
export { openTunnel, type Tunnel } from './tunnel.ts'
export { OutgoingRelays, type Connection, type RelayNews, type RelayedGuest } from './outgoingrelays.ts'
