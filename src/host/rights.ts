/**
 * What an agent may do beyond any user, all of it, and why. pagemesh.service gives it these rights and no others; an
 * agent that root starts by hand gives up the others itself.
 */

/** A capability of Linux, and its number. */
export interface Right {
  name: string
  bit: number
  why: string
}

export const AGENT_RIGHTS: readonly Right[] = [
  { name: 'CAP_SYS_PTRACE', bit: 19, why: 'reading the memory of guests, and whose a socket is' },
  {
    name: 'CAP_DAC_OVERRIDE', bit: 1,
    why: 'connecting to the sockets of QEMUs of other users: the kernel asks for the right to write a socket. ' +
      'CAP_DAC_READ_SEARCH gives none',
  },
]
/** What an agent needs besides where it intercepts (`intercept`), and only there. */
export const INTERCEPT_RIGHT: Right = {
  name: 'CAP_NET_ADMIN', bit: 12, why: 'having nft lead connections of managers to members through the agent',
}
/** What an agent may be given besides, so that it ends a QEMU of another user that hangs while a guest comes. */
export const END_RIGHT: Right = { name: 'CAP_KILL', bit: 5, why: 'ending a waiting QEMU of another user that hangs' }
/** What an error about a lack of rights advises. */
export const RIGHTS_ADVICE = `Run the agent with ${AGENT_RIGHTS.map(({ name }) => name).join(' and ')}, ` +
  'as pagemesh.service does, or as root.'

/** Rights, and no others, as a list that `setpriv` understands. Pure. */
export function keptRights(rights: readonly Right[]): string {
  return ['-all', ...rights.map(({ name }) => `+${name.slice('CAP_'.length).toLowerCase()}`)].join(',')
}

/** The numbers of the capabilities in a line of /proc/PID/status, such as `CapPrm`. Pure. */
export function parseCapabilities(status: string, line: string): number[] {
  const mask = BigInt(`0x${new RegExp(`^${line}:\\s+([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`)
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (mask >> BigInt(bit) & 1n) === 1n)
}
