import { succeeds } from './command.ts'
import { QEMU } from './machine.ts'
import { canIsolate } from './network.ts'

/** What this machine lacks for guests on isolated hosts, so that tests can skip; undefined if nothing. */
export async function missingForLab(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'Linux'
  if (process.getuid?.() !== 0) return 'root (namespaces, reading guests\' memory, building the guest image)'
  if (!await succeeds([QEMU, '--version'])) return `${QEMU}: run testnet/setup.sh`
  if (!await canIsolate()) return 'the right to make network namespaces'
  return undefined
}
