/** Hosts with libvirt: each a network namespace of the lab with its own mounts, hostname and processes. */
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { systemClock } from '../../src/runtime/clock.ts'
import { LabError } from '../laberror.ts'
import { runCommand, succeeds } from '../machine/command.ts'
import type { LabHost } from '../machine/network.ts'
import { childrenOf, startProcess, type LabProcess } from '../machine/process.ts'
import { SerialLog } from '../machine/serial.ts'
import { waitFor } from '../wait.ts'
import { domainXml, withoutOddDevice, type DomainOptions } from './domain.ts'

const START_TIMEOUT_MS = 60_000
const READY_TIMEOUT_MS = 120_000

export interface LibvirtHostInit {
  /** A host of the lab's network. */
  host: LabHost
  /** For all files of libvirt; QEMU's user must be able to pass through it. */
  directory: string
  /** The /etc/hosts of every host: libvirt finds others by name. */
  hosts: string
}

/** A host with a libvirtd. `stop` ends all of it, its guests included, and leaves nothing outside `directory`. */
export class LibvirtHost implements LabHost {
  readonly name: string
  readonly address: string
  readonly exec: readonly string[]
  readonly #directory: string
  readonly #process: LabProcess

  private constructor({ host, directory }: LibvirtHostInit, process: LabProcess, first: number) {
    this.name = host.name
    this.address = host.address
    this.exec = ['nsenter', `--target=${first}`, '--mount', '--uts', '--net', '--pid']
    this.#directory = directory
    this.#process = process
  }

  /** Resolves when libvirtd answers. Throws LabError `lab-timeout`, `lab-host-ended` with its last output. */
  static async start(init: LibvirtHostInit): Promise<LibvirtHost> {
    const { host, directory, hosts } = init
    mkdirSync(directory, { recursive: true })
    const process = startProcess(host.exec, [
      'unshare', '--mount', '--uts', '--pid', '--fork', '--kill-child',
      'bash', join(import.meta.dirname, 'host.sh'), host.name, directory, hosts,
    ])
    try {
      return await waitFor(async () => {
        if (!process.running) throw new LabError('lab-host-ended', process.errors)
        const [first] = childrenOf(process.pid)
        if (first === undefined) return undefined
        const started = new LibvirtHost(init, process, first)
        return await succeeds(started.#words('version')) ? started : undefined
      }, { clock: systemClock, what: `libvirtd of ${host.name} to answer`, timeoutMs: START_TIMEOUT_MS, pauseMs: 200 })
    } catch (error) {
      await process.kill()
      throw error
    }
  }

  /** Runs virsh on this host; resolves to its output. Throws LabError `lab-command-failed` with its error. */
  virsh(...words: string[]): Promise<string> {
    return runCommand(this.#words(...words))
  }

  /** Runs a command on this host; resolves to its output. Throws like `virsh`. */
  run(...words: string[]): Promise<string> {
    return runCommand([...this.exec, ...words])
  }

  /** Defines and starts a guest; resolves when its system has booted. */
  async startGuest(options: Omit<DomainOptions, 'serial'>): Promise<LibvirtGuest> {
    const serial = `/var/log/${options.name}.serial`
    const xml = join(this.#directory, `${options.name}.xml`)
    writeFileSync(xml, domainXml({ ...options, serial }))
    await this.virsh('define', xml)
    await this.virsh('start', options.name)
    const guest = this.guest(options.name)
    await guest.ready()
    return guest
  }

  /** The guest of this name, as seen on its serial console on this host. */
  guest(name: string): LibvirtGuest {
    return new LibvirtGuest(name, new SerialLog(join(this.#directory, 'log', `${name}.serial`)))
  }

  /** Writes the XML of a running guest, without its odd device; returns the path. */
  async writePlainXml(name: string): Promise<string> {
    const xml = join(this.#directory, `${name}-plain.xml`)
    writeFileSync(xml, withoutOddDevice(await this.virsh('dumpxml', '--migratable', name)))
    return xml
  }

  /** The process of a guest's QEMU, by its id on this host; undefined if there is none. */
  async qemuOf(name: string): Promise<number | undefined> {
    const file = `/run/libvirt/qemu/${name}.pid`
    const pid = await this.run('bash', '-c', `[[ ! -e ${file} ]] || cat ${file}`)
    return pid.trim() !== '' && await succeeds([...this.exec, 'kill', '-0', pid.trim()]) ? Number(pid) : undefined
  }

  /** A hash of all memory of a guest that stands still, dumped by QEMU. */
  async memoryHash(name: string): Promise<string> {
    const file = join(this.#directory, 'log', 'memory')
    const bytes = Number(/^Max memory: +(\d+) KiB$/m.exec(await this.virsh('dominfo', name))?.[1]) * 1024
    // QEMU's user may write this file, but not create it.
    writeFileSync(file, '')
    chmodSync(file, 0o666)
    try {
      await this.virsh('qemu-monitor-command', name, JSON.stringify({
        execute: 'pmemsave', arguments: { val: 0, size: bytes, filename: '/var/log/memory' },
      }))
      return createHash('sha256').update(await readFile(file)).digest('hex')
    } finally {
      rmSync(file)
    }
  }

  /** Names of the guests that run here. */
  async running(): Promise<string[]> {
    return (await this.virsh('list', '--name')).split('\n').filter((name) => name !== '').sort()
  }

  /** Names of all defined guests, running or not. */
  async known(): Promise<string[]> {
    return (await this.virsh('list', '--all', '--name')).split('\n').filter((name) => name !== '').sort()
  }

  /** Bytes of a guest's memory that its migration from here has processed; 0 without a migration. */
  async migratedBytes(name: string): Promise<number> {
    // There is no job before the migration has begun.
    const said = await this.virsh('domjobinfo', name).catch(() => '')
    const [, count = '0', unit = ''] = /^Memory processed: +([\d.]+) (\wi)?B/m.exec(said) ?? []
    return Number(count) * 1024 ** ['', 'Ki', 'Mi', 'Gi'].indexOf(unit)
  }

  /** Kills everything on the host at once; idempotent. */
  stop(): Promise<void> {
    return this.#process.kill()
  }

  #words(...words: string[]): string[] {
    return [...this.exec, 'virsh', '--connect', 'qemu:///system', ...words]
  }
}

/** A libvirt guest on one host. */
export class LibvirtGuest {
  readonly name: string
  readonly #serial: SerialLog

  constructor(name: string, serial: SerialLog) {
    this.name = name
    this.#serial = serial
  }

  async ready(): Promise<void> {
    await this.#until(() => this.#serial.ready, 'be ready')
  }

  /** Resolves after this many more heartbeats on this host. */
  async moreBeats(count: number): Promise<void> {
    const { beats } = this.#serial
    // The first heartbeat after a migration continues the count of the other host.
    const from = beats === 0 ? await this.#until(() => this.#serial.beats || undefined, 'say a heartbeat') - 1 : beats
    await this.#until(() => this.#serial.beats >= from + count, `say ${count} heartbeats after ${from}`)
  }

  #until<T>(look: () => T | false | undefined, what: string): Promise<T> {
    return waitFor(() => look() || undefined, {
      clock: systemClock, what: `guest ${this.name} to ${what}`, timeoutMs: READY_TIMEOUT_MS, pauseMs: 100,
    })
  }
}
