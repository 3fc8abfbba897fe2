import { cpus, loadavg, totalmem } from 'node:os'

import type { Clock } from '../../src/runtime/clock.ts'
import { chooseAccelerator, ensureImage } from '../index.ts'
import { runCommand } from '../machine/command.ts'
import { QEMU } from '../machine/machine.ts'
import { GUEST_MEMORY_MIB } from './lab.ts'
import type { Circumstances } from './sample.ts'

/** Where and how the figures were measured; without this they mean little. Collected before anything runs. */
export async function findCircumstances(command: string, clock: Clock): Promise<Omit<Circumstances, 'seconds'>> {
  const [version = ''] = (await runCommand([QEMU, '--version'])).split('\n')
  return {
    command,
    startedAt: new Date(clock.wallTime()).toISOString(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: cpus().length,
    memoryBytes: totalmem(),
    load: loadavg()[0]!,
    node: process.version,
    qemu: version,
    accelerator: await chooseAccelerator(await ensureImage(), clock),
    guestMemoryMiB: GUEST_MEMORY_MIB,
  }
}
