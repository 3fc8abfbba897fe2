/**
 * The capabilities of an agent beyond any user's, all of them, and why. pagemesh.service grants these and no others; an
 * agent that root starts by hand drops the others itself.
 */

/** A capability of Linux, and its number. */
export interface Right {
  name: string
  bit: number
  why: string
}

export const AGENT_RIGHTS: readonly Right[] = [
  { name: 'CAP_SYS_PTRACE', bit: 19, why: 'reading the memory of guests, and finding the process behind a socket' },
  {
    name: 'CAP_DAC_OVERRIDE', bit: 1,
    why: 'connecting to the sockets of QEMUs of other users: the kernel asks for the right to write a socket. ' +
      'CAP_DAC_READ_SEARCH gives none',
  },
]
/** Needed only where the agent intercepts (`intercept`). */
export const INTERCEPT_RIGHT: Right = {
  name: 'CAP_NET_ADMIN', bit: 12, why: 'having nft lead connections of managers to members through the agent',
}
/** May be granted so that the agent can end a hung waiting QEMU of another user. */
export const END_RIGHT: Right = { name: 'CAP_KILL', bit: 5, why: 'ending a waiting QEMU of another user that hangs' }
/** The advice of errors about missing capabilities. */
export const RIGHTS_ADVICE = `Run the agent with ${AGENT_RIGHTS.map(({ name }) => name).join(' and ')}, ` +
  'as pagemesh.service does, or as root.'

/** These capabilities and no others, as a list for `setpriv`. Pure. */
export function keptRights(rights: readonly Right[]): string {
  return ['-all', ...rights.map(({ name }) => `+${name.slice('CAP_'.length).toLowerCase()}`)].join(',')
}

/** The numbers of the capabilities in a line of /proc/PID/status, such as `CapPrm`. Pure. */
export function parseCapabilities(status: string, line: string): number[] {
  const mask = BigInt(`0x${new RegExp(`^${line}:\\s+([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`)
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (mask >> BigInt(bit) & 1n) === 1n)
}
