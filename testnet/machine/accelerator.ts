import { accessSync, constants, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Clock } from '../../src/runtime/clock.ts'
import { systemErrorCode } from '../../src/runtime/errors.ts'
import { LabError } from '../laberror.ts'
import { waitFor } from '../wait.ts'
import { REPOSITORY, type GuestImage } from './image.ts'
import { machineArguments, machinePaths, QEMU, type Accelerator } from './machine.ts'
import { startProcess } from './process.ts'
import { SerialLog } from './serial.ts'

/** Under KVM a kernel reaches its initramfs within a second or two. */
const PROBE_TIMEOUT_MS = 10_000
const PROBE_MEMORY_MIB = 256

/** One probe for all guests that start together. */
let choice: Promise<Accelerator> | undefined

/**
 * KVM if it really runs our guests, else TCG. Inside a virtual machine, a /dev/kvm that opens proves little, so our own
 * kernel is booted once under KVM; the answer is kept in .cache until the machine reboots. PAGEMESH_ACCEL=kvm or tcg
 * overrides. Throws LabError `lab-bad-accelerator` if it is set to anything else.
 */
export function chooseAccelerator(image: GuestImage, clock: Clock): Promise<Accelerator> {
  choice ??= choose(image, clock)
  return choice
}

async function choose(image: GuestImage, clock: Clock): Promise<Accelerator> {
  const wanted = process.env['PAGEMESH_ACCEL'] ?? ''
  if (wanted === 'kvm' || wanted === 'tcg') return wanted
  if (wanted !== '') {
    throw new LabError('lab-bad-accelerator', `PAGEMESH_ACCEL is ${wanted}.`, {
      advice: 'Set it to kvm or tcg, or leave it out.',
    })
  }
  if (!mayOpenKvm()) return 'tcg'
  const cachePath = join(REPOSITORY, '.cache', 'accelerator.json')
  const key = `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${image.directory}`
  const known = readAnswer(cachePath, key)
  if (known !== undefined) return known
  const accelerator = await probeKvm(image, clock) ? 'kvm' : 'tcg'
  keepAnswer(cachePath, { key, accelerator })
  return accelerator
}

function mayOpenKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return true
  } catch {
    // No KVM here, or no access.
    return false
  }
}

function readAnswer(path: string, key: string): Accelerator | undefined {
  try {
    const answer = JSON.parse(readFileSync(path, 'utf8')) as { key?: unknown; accelerator?: unknown }
    if (answer.key !== key) return undefined
    return answer.accelerator === 'kvm' ? 'kvm' : 'tcg'
  } catch {
    // Absent or damaged: ask KVM again.
    return undefined
  }
}

function keepAnswer(path: string, answer: { key: string; accelerator: Accelerator }): void {
  try {
    writeFileSync(`${path}.new`, JSON.stringify(answer))
    renameSync(`${path}.new`, path)
  } catch (error) {
    // In a container with read-only files, the next process probes KVM again.
    if (systemErrorCode(error) !== 'EROFS') throw error
  }
}

async function probeKvm(image: GuestImage, clock: Clock): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), 'pm-probe-'))
  const name = 'probe'
  const paths = machinePaths(directory, name)
  writeFileSync(paths.serial, '')
  const guest = startProcess([], [QEMU, ...machineArguments({
    name, directory, image, work: 'probe', accelerator: 'kvm', memoryMiB: PROBE_MEMORY_MIB,
    incoming: false, paused: false, backend: 'anonymous',
  })])
  const serial = new SerialLog(paths.serial)
  try {
    return await waitFor(() => serial.ready ? true : guest.running ? undefined : false, {
      clock, what: 'a guest under KVM', timeoutMs: PROBE_TIMEOUT_MS,
    })
  } catch (error) {
    if (error instanceof LabError && error.code === 'lab-timeout') return false
    throw error
  } finally {
    await guest.kill()
    rmSync(directory, { recursive: true, force: true })
  }
}
