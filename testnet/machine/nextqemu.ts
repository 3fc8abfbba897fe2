import { join } from 'node:path'

import { runCommand } from './command.ts'
import { QEMU } from './machine.ts'

/** This system's QEMU, or that of the next Debian release: guests must be able to move between the two. */
export type QemuRelease = 'system' | 'next'

/**
 * The program that starts a QEMU. The next release's is fetched if missing (under a minute, with progress on standard
 * error), kept in .cache and never installed; its process has the name of its loader, and QEMU in its arguments. Throws
 * LabError `lab-command-failed` if it cannot be fetched: no apt, no mirror, no disk space.
 */
export async function ensureQemu(release: QemuRelease): Promise<string> {
  if (release === 'system') return QEMU
  return (await runCommand(['bash', join(import.meta.dirname, '..', 'nextqemu', 'build.sh')], true)).trim()
}
