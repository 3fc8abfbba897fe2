import { runCommand } from './command.ts'

/** A packet this long carries pages or a part of them; shorter ones keep the connections alive. */
const PACKET_BYTES_MIN = 1000
/** What is overwritten: four bytes this far behind the transport's header begins, in bits. */
const OFFSET_BITS = 4000

/**
 * Overwrites four bytes of some of the packets that a host sends, by a table of its own at the host's port. Between
 * namespaces nobody computes checksums, so the bytes arrive as they are: as with a broken network card.
 * @param perMille how many of a thousand packets; 0: none any more
 */
export async function corruptPackets(network: string, port: string, perMille: number): Promise<void> {
  const table = `corrupt-${port}`
  const prefix = ['ip', 'netns', 'exec', network, 'nft']
  // Added first, so that deleting it never fails.
  const words = [`add table netdev ${table}`, `delete table netdev ${table}`]
  if (perMille > 0) {
    words.push(
      `add table netdev ${table}`,
      `add chain netdev ${table} sent { type filter hook ingress device "${port}" priority 0; }`,
      `add rule netdev ${table} sent meta length > ${PACKET_BYTES_MIN} numgen random mod 1000 < ${perMille} ` +
        `@th,${OFFSET_BITS},32 set 0x55555555`,
    )
  }
  await runCommand([...prefix, words.join('; ')])
}
