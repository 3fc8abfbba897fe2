import type { Clock } from '../runtime/clock.ts'
import { silentLog } from '../runtime/log.ts'
import { connectQmp } from './qmp.ts'
import type { QemuVersion } from './qmpline.ts'

/** As QEMU writes it, such as `7.2.0`. Pure. */
export function formatQemuVersion({ major, minor, micro }: QemuVersion): string {
  return `${major}.${minor}.${micro}`
}

/** Which QEMU is behind a QMP socket, which it says before it is asked anything. Throws what connectQmp throws. */
export async function qemuVersionAt(components: { clock: Clock }, path: string, timeoutMs: number): Promise<string> {
  const qmp = await connectQmp(path, { ...components, log: silentLog, timeoutMs })
  try {
    return formatQemuVersion(qmp.version)
  } finally {
    await qmp.close()
  }
}
