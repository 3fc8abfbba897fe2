/** The largest control message in bytes. */
export const MESSAGE_BYTES_MAX = 64 * 1024
/** The largest gossiped message in bytes. */
export const GOSSIP_BYTES_MAX = 32 * 1024
