/**
 * Breaks the connections of a move from outside: it copies another process' socket (`pidfd_getfd`) and acts on the
 * copy. Needs root.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

import { socketInode, unixSocketsOf } from '../../src/guest/unixsockets.ts'
import { LabError } from '../../testnet/laberror.ts'
import { runCommand } from '../../testnet/machine/command.ts'

/** One end of a connection: a socket of a process. */
export interface Connection {
  pid: number
  inode: string
}

/** The port after the mesh's, as the agents here are configured. */
const LANE_PORT = 4002
const ESTABLISHED = '01'
/** The directories in which agents meet their QEMUs. */
const RENDEZVOUS = /\/control\.sock\.d\//

const NO_SUCH_CONNECTION = 3

/** `shutdown` of both ways; a filter that drops all arriving packets, and its removal. The numbers are the kernel's. */
const BREAK = `
  my ($pid, $inode, $what) = @ARGV;
  my ($number) = grep { (readlink("/proc/$pid/fd/$_") // '') eq "socket:[$inode]" } 0 .. 4095;
  exit ${NO_SUCH_CONNECTION} unless defined $number;
  my $process = syscall(434, $pid + 0, 0);
  my $copy = syscall(438, $process, $number + 0, 0);
  die "not copied: $!" if $copy < 0;
  open(my $socket, '+<&=', $copy) or die "not opened: $!";
  my $drop_all = pack('S C C L', 6, 0, 0, 0);
  my $is_done = $what eq 'shut' ? shutdown($socket, 2)
    : $what eq 'deafen' ? setsockopt($socket, 1, 26, pack('S x![P] P', 1, $drop_all))
    : setsockopt($socket, 1, 27, pack('i', 0));
  die "$what: $!" unless $is_done;
`

/** An agent's present lanes: one of the conversation, and one per channel. */
export function lanesOf(pid: number): Connection[] {
  const own = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => socketInode(`/proc/${pid}/fd/${fd}`)))
  return readFileSync(`/proc/${pid}/net/tcp`, 'latin1').split('\n').slice(1).flatMap((line) => {
    const [, local = '', remote = '', state, , , , , , inode = ''] = line.trim().split(/\s+/)
    const isLane = [local, remote].some((address) => Number.parseInt(address.split(':')[1] ?? '', 16) === LANE_PORT)
    return isLane && state === ESTABLISHED && own.has(inode) ? [{ pid, inode }] : []
  })
}

/** The connections between a QEMU and its agent, on the side of the process that accepted them. */
export function channelsOf(pid: number): Connection[] {
  return unixSocketsOf(pid).filter(({ state, path = '' }) => state === 'connected' && RENDEZVOUS.test(path))
    .map(({ inode }) => ({ pid, inode }))
}

/** Closes a connection at once; resolves to false if it is closed already. */
export async function shut(connection: Connection): Promise<boolean> {
  return await act('shut', connection)
}

/** Stalls a TCP connection: packets that arrive at this end are dropped for `forMs`. Resolves to whether it existed. */
export async function stall(connection: Connection, forMs: number): Promise<boolean> {
  const isStalled = await act('deafen', connection)
  if (!isStalled) return false
  await setTimeout(forMs)
  // It may have been closed meanwhile.
  await act('hear', connection)
  return true
}

async function act(what: 'shut' | 'deafen' | 'hear', { pid, inode }: Connection): Promise<boolean> {
  try {
    await runCommand(['perl', '-e', BREAK, String(pid), inode, what])
    return true
  } catch (error) {
    if (error instanceof LabError && error.status === NO_SUCH_CONNECTION) return false
    throw error
  }
}
