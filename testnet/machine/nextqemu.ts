import { join } from 'node:path'

import { runCommand } from './command.ts'
import { QEMU } from './machine.ts'

/** This system's QEMU, or that of the next Debian release: a guest must be able to move between the two. */
export type QemuRelease = 'system' | 'next'

/**
 * The program that starts a QEMU. The next release's is fetched if it is missing (under a minute, with progress on
 * standard error), kept in .cache and never installed; its process is called after its loader, its words name QEMU.
 * Throws LabError `lab-command-failed` where it cannot be had: no apt, no mirror, no disk space.
 */
export async function ensureQemu(release: QemuRelease): Promise<string> {
  if (release === 'system') return QEMU
  return (await runCommand(['bash', join(import.meta.dirname, '..', 'nextqemu', 'build.sh')], true)).trim()
}
