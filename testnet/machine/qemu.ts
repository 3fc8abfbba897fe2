import { mkdirSync, rmSync } from 'node:fs'

import { connectQmp, type QmpClient } from '../../src/guest/index.ts'
import { systemClock, type Clock } from '../../src/runtime/clock.ts'
import { PagemeshError } from '../../src/runtime/errors.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { LabError } from '../laberror.ts'
import { waitFor } from '../wait.ts'
import { chooseAccelerator } from './accelerator.ts'
import { ensureBusybox } from './busybox.ts'
import { ensureImage, type GuestImage } from './image.ts'
import { machineArguments, machinePaths, type MachinePaths, type MemoryBackend, type Work } from './machine.ts'
import type { LabHost } from './network.ts'
import { ensureQemu, type QemuRelease } from './nextqemu.ts'
import { startProcess, type LabProcess } from './process.ts'
import { SerialLog } from './serial.ts'

export interface GuestOptions {
  /** The same at source and destination: agents identify guests by it. */
  name: string
  /** Default 512. */
  memoryMiB?: number
  /** The same at source and destination. */
  work: Work
  /**
   * Default debian; busybox is a small system of its own, with the work idle or random; firmware is none at all: it has
   * no heartbeat, is never `ready`, and 16 MiB are enough. The same at both ends.
   */
  system?: System
  /** For sockets and the serial log; created if missing. Its path must be short: a socket's holds 107 bytes. */
  directory: string
  /** Waits for a migration; default false. */
  incoming?: boolean
  /** Does not run until told to, even after a migration by QEMU alone; agents ignore it. Default false. */
  paused?: boolean
  /** The network of the guest's process; default: this process' own. */
  host?: LabHost
  /** Default anonymous. Post-copy with `file` needs a directory on tmpfs: a kernel requirement. */
  backend?: MemoryBackend
  /** A beat every 10 ms on its own socket, `paths.heartbeat`; default false. The same at both ends. */
  heartbeat?: boolean
  /** Default system: this system's own. `next` is that of the next Debian release, see nextqemu.ts. */
  qemu?: QemuRelease
  /** The same at both ends; default pc-i440fx-7.2, which both QEMUs have. */
  machine?: string
  /** Words before QEMU's own that change where it runs and then become it, such as `unshare --mount`. */
  within?: readonly string[]
  /** Further arguments for QEMU, after ours: disks, devices, sockets. */
  further?: readonly string[]
  clock?: Clock
}

type System = 'debian' | 'busybox' | 'firmware'

/** A QEMU of the lab. */
export interface LabGuest {
  readonly name: string
  readonly pid: number
  readonly host: LabHost | undefined
  readonly paths: MachinePaths
  /** The test's own QMP connection. */
  readonly qmp: QmpClient
  /** Resolves when the guest's work is in its steady state; throws LabError `lab-timeout`, `lab-guest-ended`. */
  ready(timeoutMs?: number): Promise<void>
  /** The number of the last heartbeat here; 0 before the first. */
  beats(): number
  /** Resolves after `count` more heartbeats. */
  moreBeats(count: number, timeoutMs?: number): Promise<void>
  /** Kills the process and waits for its end; idempotent. */
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const READY_TIMEOUT_MS = 240_000
const BEAT_TIMEOUT_MS = 60_000
const SOCKET_PATH_BYTES_MAX = 107

/** What a guest's QEMU says that it does, such as `running`. */
export async function stateOf(guest: LabGuest): Promise<string> {
  return (await guest.qmp.execute('query-status') as { status: string }).status
}

async function systemOf({ system }: GuestOptions, image: GuestImage): Promise<GuestImage | undefined> {
  if (system === 'firmware') return undefined
  return system === 'busybox' ? await ensureBusybox(image) : image
}

/**
 * Starts a guest; resolves when its process runs and answers QMP. Throws LabError `lab-guest-ended` with QEMU's
 * error if it does not.
 */
export async function startGuest(options: GuestOptions): Promise<LabGuest> {
  const { name, directory, work, host, clock = systemClock } = options
  const paths = machinePaths(directory, name)
  if (Buffer.byteLength(paths.testQmp) > SOCKET_PATH_BYTES_MAX) {
    throw new LabError('lab-path-too-long', `${paths.testQmp} is too long for a socket.`, {
      advice: 'Use a directory with a shorter path.',
    })
  }
  const image = await ensureImage()
  const accelerator = await chooseAccelerator(image, clock)
  const system = await systemOf(options, image)
  mkdirSync(directory, { recursive: true })
  // A socket that an earlier guest left would be mistaken for this one's.
  for (const path of Object.values(paths) as string[]) rmSync(path, { force: true })
  const argv = machineArguments({
    name, directory, work, accelerator, memoryMiB: options.memoryMiB ?? 512,
    ...system === undefined ? {} : { image: system },
    incoming: options.incoming ?? false, paused: options.paused ?? false, backend: options.backend ?? 'anonymous',
    heartbeat: options.heartbeat ?? false,
    ...options.machine === undefined ? {} : { machine: options.machine },
    ...options.further === undefined ? {} : { further: options.further },
  })
  const within = [...host?.exec ?? [], ...options.within ?? []]
  const process = startProcess(within, [await ensureQemu(options.qemu ?? 'system'), ...argv])
  try {
    return new RunningGuest(options, process, await reachQmp(paths.testQmp, process, clock))
  } catch (error) {
    await process.kill()
    throw error
  }
}

function reachQmp(path: string, process: LabProcess, clock: Clock): Promise<QmpClient> {
  return waitFor(async () => {
    throwIfEnded(process)
    try {
      return await connectQmp(path, { clock, log: silentLog })
    } catch (error) {
      // Nothing listens yet, or QEMU is still too busy with its start to greet.
      if (error instanceof PagemeshError && ['guest-gone', 'qmp-busy'].includes(error.code)) return undefined
      throw error
    }
  }, { clock, what: `QEMU to listen on ${path}`, timeoutMs: START_TIMEOUT_MS, pauseMs: 20 })
}

function throwIfEnded(process: LabProcess, lastWords = ''): void {
  if (process.running) return
  const guestSaid = lastWords === '' ? '' : `; the guest's last words: ${lastWords}`
  const said = `QEMU ended: ${process.errors || 'it did not say why'}${guestSaid}`
  throw new LabError('lab-guest-ended', said)
}

class RunningGuest implements LabGuest {
  readonly name: string
  readonly pid: number
  readonly host: LabHost | undefined
  readonly paths: MachinePaths
  readonly qmp: QmpClient
  readonly #process: LabProcess
  readonly #serial: SerialLog
  readonly #clock: Clock

  constructor(options: GuestOptions, process: LabProcess, qmp: QmpClient) {
    this.name = options.name
    this.pid = process.pid
    this.host = options.host
    this.paths = machinePaths(options.directory, options.name)
    this.qmp = qmp
    this.#process = process
    this.#serial = new SerialLog(this.paths.serial)
    this.#clock = options.clock ?? systemClock
  }

  async ready(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    await this.#until(() => this.#serial.ready, 'be ready', timeoutMs)
  }

  beats(): number {
    return this.#serial.beats
  }

  async moreBeats(count: number, timeoutMs = BEAT_TIMEOUT_MS): Promise<void> {
    const before = this.beats()
    // The first beat after a migration continues the source's count: any number but the one before is a new beat.
    let last = before
    let seen = 0
    await this.#until(() => {
      const now = this.beats()
      if (now !== last) seen += last === 0 ? 1 : now - last
      last = now
      return seen >= count
    }, `say ${count} more heartbeats after ${before}`, timeoutMs)
  }

  async stop(): Promise<void> {
    await this.qmp.close()
    await this.#process.kill()
  }

  async #until(condition: () => boolean, what: string, timeoutMs: number): Promise<void> {
    await waitFor(() => {
      throwIfEnded(this.#process, this.#serial.lastWords)
      return condition() ? true : undefined
    }, { clock: this.#clock, what: `guest ${this.name} to ${what}`, timeoutMs, pauseMs: 100 })
  }
}
