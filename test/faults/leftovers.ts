/** What nothing should be left of once all is at rest: processes, sockets, tables, files, descriptors, threads. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { runCommand } from '../../testnet/machine/command.ts'
import { HOSTS, type FaultLab } from './lab.ts'

/** Sockets of QEMUs, of their other clients, and of the agents: bound under a name of its own, then linked. */
const USUAL_SOCKET = /\.(qmp|qmp-test|other)$|\/control\.sock$|\/\.\w{6}\/s$/
/** Each agent that intercepts talks to one. */
const NFT = /\/nft --interactive/
const LANE_PORT = 4002
const ESTABLISHED = '01'
/** A QEMU more or less is a QMP session and a descriptor of its memory; a stream that just ended may linger. */
const DESCRIPTORS_MORE_MAX = 16
const THREADS_MORE_MAX = 2

interface Figures {
  descriptors: number
  threads: number
}

/** Looks for what is left behind, and remembers each agent's figures from its first rest on. */
export class Leftovers {
  readonly #lab: FaultLab
  /** By process. */
  readonly #first = new Map<number, Figures>()

  constructor(lab: FaultLab) {
    this.#lab = lab
  }

  /** All that is left, a phrase each. */
  async find(): Promise<string[]> {
    const found = await Promise.all(HOSTS.map(async (host) => {
      const { pid } = this.#lab.agent(host)
      if (!existsSync(`/proc/${pid}`)) return [`${host}: its agent, process ${pid}, has ended`]
      const phrases = [
        ...await this.#processes(host), ...this.#sockets(host), ...this.#rendezvous(host), ...this.#figures(host),
        ...await this.#tables(host), ...this.#unfinished(host),
      ]
      return phrases.map((phrase) => `${host}: ${phrase}`)
    }))
    return found.flat()
  }

  async #processes(host: string): Promise<string[]> {
    const [, , , namespace = ''] = this.#lab.cluster.network.host(host).exec
    const pids = (await runCommand(['ip', 'netns', 'pids', namespace])).split('\n').filter((line) => line !== '')
    const ours = [this.#lab.agent(host).pid, ...this.#lab.qemus().map(({ guest }) => guest.pid)]
    const others = pids.map(Number).filter((pid) => !ours.includes(pid))
      .map((pid) => ({ pid, command: commandOf(pid), parent: parentOf(pid) }))
    return others.filter(({ command, parent }) => !NFT.test(command) || parent !== this.#lab.agent(host).pid)
      .map(({ pid, command }) => `process ${pid}: ${command}`)
  }

  #sockets(host: string): string[] {
    const { pid } = this.#lab.agent(host)
    const paths = readFileSync(`/proc/${pid}/net/unix`, 'latin1').split('\n')
      .map((line) => line.trim().split(/\s+/)[7] ?? '')
      .filter((path) => path.startsWith(this.#lab.cluster.directory) && !USUAL_SOCKET.test(path))
    const lanes = readFileSync(`/proc/${pid}/net/tcp`, 'latin1').split('\n').map((line) => line.trim().split(/\s+/))
      .filter(([, local, remote, state]) => state === ESTABLISHED && [local, remote].map(portOf).includes(LANE_PORT))
    return [
      ...[...new Set(paths)].map((path) => `socket ${path}`),
      ...lanes.map(([, local, remote]) => `lane ${local} - ${remote}`),
    ]
  }

  /** Directories in which a QEMU and an agent meet. */
  #rendezvous(host: string): string[] {
    const directory = join(this.#lab.cluster.directory, host, 'control.sock.d')
    return existsSync(directory) ? readdirSync(directory).map((name) => `rendezvous ${name}`) : []
  }

  #figures(host: string): string[] {
    const { pid } = this.#lab.agent(host)
    const now = { descriptors: countOf(pid, 'fd'), threads: countOf(pid, 'task') }
    const first = this.#first.get(pid)
    if (first === undefined) this.#first.set(pid, now)
    const { descriptors, threads } = first ?? now
    return [
      ...now.descriptors > descriptors + DESCRIPTORS_MORE_MAX
        ? [`${now.descriptors} descriptors, ${descriptors} at its first rest`] : [],
      ...now.threads > threads + THREADS_MORE_MAX ? [`${now.threads} threads, ${threads} at its first rest`] : [],
    ]
  }

  /** The agents intercept managers' connections, by one table each; by none where the kernel was not compiled. */
  async #tables(host: string): Promise<string[]> {
    const tables = await this.#lab.tablesOf(host)
    return tables.length <= 1 ? [] : [`tables of nft: ${tables.join(', ')}`]
  }

  /** Files of which only one part was written. */
  #unfinished(host: string): string[] {
    return readdirSync(this.#lab.diskOf(host)).filter((name) => /\.(tmp|new|part)$|^\.lock-.{6}$|~$/.test(name))
      .map((name) => `file ${name}`)
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').slice(0, 120)
  } catch {
    return 'ended'
  }
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
  } catch {
    return undefined
  }
}

function portOf(address = ''): number {
  return parseInt(address.split(':')[1] ?? '', 16)
}

function countOf(pid: number, what: 'fd' | 'task'): number {
  return readdirSync(`/proc/${pid}/${what}`).length
}
